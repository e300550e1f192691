"""Folders exchanged with transformers give the same logits both ways; what would not is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from headwater.models.backbones.decoder import Decoder, build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.hugging_face import export_llama, import_llama

transformers = pytest.importorskip("transformers")
TOKENS = torch.randint(97, (2, 40), generator=torch.Generator().manual_seed(0))


def options(tied=False, groups=2):
    return DecoderOptions(
        width=48,
        layers=2,
        heads=4,
        key_value_heads=groups,
        vocabulary_size=97,
        context_length=64,
        rope_base=5e4,
        tied=tied,
    )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_exported_gives_the_same_logits_in_transformers(tmp_path, tied, groups):
    model = build_decoder(options(tied, groups), 3)
    export_llama(model, tmp_path, {"eos_token_id": 0, "bos_token_id": 0})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(theirs).__name__ == "LlamaForCausalLM"
    assert theirs.config.eos_token_id == 0
    with torch.no_grad():
        difference = (theirs(TOKENS).logits - model.logits(model(TOKENS))).abs().max()
    assert float(difference) < 1e-5
    again, state = import_llama(tmp_path)
    assert again.model_dump(exclude={"feed_forward_width"}) == model.options.model_dump(exclude={"feed_forward_width"})
    assert all(torch.equal(state[name], weight) for name, weight in model.named_parameters())


@pytest.mark.parametrize("tied", [False, True])
def test_imported_gives_the_same_logits_even_from_several_files(tmp_path, tied):
    config = transformers.LlamaConfig(
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=97,
        max_position_embeddings=64,
        rms_norm_eps=1e-6,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="40KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    found, state = import_llama(tmp_path)
    model = Decoder(found)
    model.load_state_dict(state)
    with torch.no_grad():
        difference = (theirs(TOKENS).logits - model.logits(model(TOKENS))).abs().max()
    assert float(difference) < 1e-5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"architectures": ["MistralForCausalLM"]}, "Mistral"),
        ({"rope_parameters": None, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "llama3"),
        ({"head_dim": 16}, "head_dim"),
        ({"vocab_size": 98}, "embed_tokens"),
        ({"num_hidden_layers": 3}, r"model\.layers\.2"),
        ({"num_hidden_layers": 1}, "no use for"),
    ],
)
def test_what_would_give_other_numbers_is_refused(tmp_path, change, named):
    export_llama(build_decoder(options(), 0), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=named):
        import_llama(tmp_path)


def test_damaged_folders_are_refused_by_file_name(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        import_llama(tmp_path)
    export_llama(build_decoder(options(), 0), tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    save_file({**tensors, "model.layers.0.self_attn.q_proj.bias": torch.zeros(48)}, weights)
    with pytest.raises(ValueError, match=r"q_proj\.bias"):
        import_llama(tmp_path)
    weights.write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        import_llama(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../elsewhere.safetensors"}}')
    with pytest.raises(ValueError, match="not a file of its own folder"):
        import_llama(tmp_path)
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(ValueError, match="not JSON"):
        import_llama(tmp_path)
