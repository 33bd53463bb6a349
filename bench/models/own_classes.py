"""Every model class of our own: whoever imports this makes them known to the Auto classes."""

import bench.models.cut
import bench.models.mask_attention  # noqa: F401 - both register what they hold
