from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from tiny_models import CONFIGS, tiny_classifier, tiny_config
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, GPT2Config

from bench.errors import BenchError
from bench.models import families

every_family = pytest.mark.parametrize("name", CONFIGS)

HEADS = {
    "bert": ["bert.pooler.dense", "classifier"],
    "roberta": ["classifier.dense", "classifier.out_proj"],
    "electra": ["classifier.dense", "classifier.out_proj"],
    "distilbert": ["pre_classifier", "classifier"],
}


@every_family
def test_every_linear_module_of_a_classifier_has_its_place(name):
    model = tiny_classifier(name)
    projection = families.embedding_projection(model)
    placed = {
        *families.prunable(model).values(),
        *families.head_modules(model).values(),
        *([projection] if projection is not None else []),
    }
    assert placed == {module for module in model.modules() if isinstance(module, nn.Linear)}
    assert len(families.prunable(model)) == 6 * 2
    assert list(families.head_modules(model)) == HEADS[name]
    assert (projection is not None) == (name == "electra")


@every_family
@pytest.mark.parametrize("build", [AutoModel, AutoModelForMaskedLM])
def test_bare_encoders_and_language_models_are_addressed_alike(name, build):
    classifier, model = tiny_classifier(name), build.from_config(tiny_config(name))
    prefix = "" if build is AutoModel else f"{name}."
    assert list(families.prunable(model)) == [
        key.replace(f"{name}.", prefix, 1) for key in families.prunable(classifier)
    ]
    for key, matrix in families.prunable(model).items():
        assert model.get_submodule(key) is matrix
    assert families.embeddings(model).word_embeddings is model.get_input_embeddings()
    pooled = build is AutoModel and name in ("bert", "roberta")
    assert list(families.head_modules(model)) == (["pooler.dense"] if pooled else [])


@every_family
def test_embedding_modules_are_all_that_the_first_layers_input_comes_from(name):
    """By autograd, from the input of the first layer."""
    model = tiny_classifier(name)
    first = []
    families.layer_modules(model)[0].register_forward_pre_hook(
        lambda _, args, known: first.append(args[0] if args else known["hidden_states"]),
        with_kwargs=True,
    )
    model(input_ids=torch.randint(5, 50, (2, 7)))
    first[0].square().sum().backward()
    wanted = {key for key, value in model.named_parameters() if value.grad is not None}
    inside = {p for module in families.embedding_modules(model) for p in module.parameters()}
    assert {key for key, value in model.named_parameters() if value in inside} == wanted
    assert wanted


@every_family
def test_matrices_have_the_shapes_that_their_names_promise(name):
    shapes = {
        "query": (24, 24),
        "key": (24, 24),
        "value": (24, 24),
        "attention_output": (24, 24),
        "intermediate": (40, 24),
        "output": (24, 40),
    }
    for layer in families.layers(tiny_classifier(name)):
        assert {key: m.weight.shape for key, m in layer.matrices.items()} == shapes
        assert (layer.heads, layer.head_size) == (3, 8)


@every_family
def test_names_say_what_the_matrix_is(name):
    """Zeroing a value matrix and its bias silences the layer's attention, whatever the query."""
    model = tiny_classifier(name)
    layer = families.layers(model)[0]
    context = []
    layer.attention_output.register_forward_pre_hook(lambda _, args: context.append(args[0]))
    with torch.no_grad():
        layer.value.weight.zero_()
        layer.value.bias.fill_(2.0)
        model(input_ids=torch.randint(5, 50, (2, 7)))
    assert torch.allclose(context[0], torch.tensor(2.0))


@every_family
def test_dropout_names_reach_every_dropout_of_the_model(name):
    config = tiny_config(name)
    for field in families.family_of(config).dropout:
        assert hasattr(config, field)
        setattr(config, field, 0.37)
    model = type(tiny_classifier(name))(config)
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.37}


@every_family
def test_the_longest_text_is_the_longest_that_runs(name):
    model = tiny_classifier(name)
    longest = families.max_text_positions(model.config)
    assert longest == (38 if name == "roberta" else 40)
    model(input_ids=torch.full((1, longest), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 7))


def test_other_families_are_refused_with_the_four_names():
    with pytest.raises(BenchError, match=r"'gpt2'.*bert, roberta, electra, distilbert") as caught:
        families.family_of(GPT2Config())
    assert "\n" not in str(caught.value)


def test_a_cut_model_belongs_to_the_family_of_its_origin():
    config = BertConfig()
    config.model_type = "cut-bert"
    assert families.family_of(config) is families.FAMILIES["bert"]


def test_importing_the_table_or_the_budget_imports_nothing_heavy():
    code = (
        "import sys, bench.models.families, bench.compression.target, bench.cli.footprint\n"
        "assert not {'torch', 'transformers', 'numpy', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
