"""Decoders from and to Hugging Face folders: LlamaForCausalLM's names and mathematics, no dependency on transformers.

A folder holds `config.json` and `model.safetensors`, or several files and `model.safetensors.index.json`. What this
decoder cannot compute exactly (biases, scaled rotary positions, other activations or architectures) is refused by name
rather than loaded to give other numbers.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from headwater.models.backbones.decoder import Decoder
from headwater.models.backbones.options import DecoderOptions

TOP = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
IN_BLOCK = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}


def hugging_face_name(name: str) -> str:
    """A decoder parameter's name in LlamaForCausalLM."""
    if name in TOP:
        return TOP[name]
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)\.weight", name)
    if match is None:
        raise ValueError(f"{name} is not a parameter of the decoder")
    return f"model.layers.{match[1]}.{IN_BLOCK[match[2]]}.weight"


def llama_config(options: DecoderOptions, special_ids: dict[str, int | None] | None = None) -> dict[str, Any]:
    """The content of `config.json`; `special_ids` are `bos_token_id`, `eos_token_id`, `pad_token_id`."""
    rope = {"rope_type": "default", "rope_theta": options.rope_base}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": options.width,
        "intermediate_size": options.inner_width,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "num_key_value_heads": options.groups,
        "head_dim": options.head_width,
        "vocab_size": options.vocabulary_size,
        "max_position_embeddings": options.context_length,
        "rms_norm_eps": options.norm_epsilon,
        "tie_word_embeddings": options.tied,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rope_theta": options.rope_base,  # read by transformers 4
        "rope_parameters": rope,  # read by transformers 5
        "torch_dtype": "float32",
        **{name: (special_ids or {}).get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")},
    }


def export_llama(model: Decoder, folder: Path, special_ids: dict[str, int | None] | None = None) -> None:
    """Write `config.json` and `model.safetensors` that `transformers` loads as LlamaForCausalLM."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {hugging_face_name(name): value.detach().cpu().contiguous() for name, value in model.named_parameters()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.dumps(llama_config(model.options, special_ids), indent=2) + "\n"
    (folder / "config.json").write_text(config, encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: a Hugging Face model folder has one") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold an object")
    return value


def _rope_base(config: dict[str, Any], path: Path) -> float:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"{path}: rotary positions of type {kind!r} are not supported, only unscaled ones")
    return float(rope.get("rope_theta", config.get("rope_theta", 10000.0)))


def read_llama_config(path: Path) -> DecoderOptions:
    """The decoder that a `config.json` describes. Raises ValueError naming what it cannot be exact about."""
    config = _read_json(path)
    architectures = config.get("architectures") or [config.get("model_type")]
    if not set(architectures) <= {"LlamaForCausalLM", "llama"}:
        raise ValueError(f"{path}: architecture {architectures} is not supported, only LlamaForCausalLM")
    exact = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
    for name, value in exact.items():
        if config.get(name, value) != value:
            raise ValueError(f"{path}: {name} = {config[name]!r} is not supported, only {value!r}")
    required = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size")
    missing = [name for name in required if name not in config]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if config.get("head_dim") not in (None, width // heads):
        raise ValueError(f"{path}: head_dim {config['head_dim']} must be hidden_size / num_attention_heads")
    return DecoderOptions(
        width=width,
        layers=config["num_hidden_layers"],
        heads=heads,
        key_value_heads=config.get("num_key_value_heads") or heads,
        feed_forward_width=config["intermediate_size"],
        vocabulary_size=config["vocab_size"],
        context_length=config.get("max_position_embeddings", 2048),
        rope_base=_rope_base(config, path),
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        tied=config.get("tie_word_embeddings", False),
    )


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    files = sorted(set(_read_json(index)["weight_map"].values())) if index.exists() else ["model.safetensors"]
    tensors: dict[str, Tensor] = {}
    for name in files:
        if Path(name).name != name:
            raise ValueError(f"{index} names {name!r}, which is not a file of its own folder")
        try:
            tensors |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{folder / name} cannot be read as safetensors: {error}") from error
    return tensors


def import_llama(folder: Path) -> tuple[DecoderOptions, dict[str, Tensor]]:
    """Options and float32 state of the model in a Hugging Face folder.

    Raises ValueError, naming file and cause, for what is missing, of the wrong shape or not exactly reproducible.
    """
    options = read_llama_config(folder / "config.json")
    stored = _read_tensors(folder)
    with torch.device("meta"):
        wanted = {name: parameter.shape for name, parameter in Decoder(options).named_parameters()}
    state = {}
    for name, shape in wanted.items():
        theirs = hugging_face_name(name)
        if theirs not in stored:
            raise ValueError(f"{folder} holds no weight {theirs}")
        if stored[theirs].shape != shape:
            raise ValueError(
                f"{folder}: {theirs} has shape {list(stored[theirs].shape)}, config.json says {list(shape)}"
            )
        state[name] = stored[theirs].float()
    # Tied models may repeat the matrix; old ones stored the rotary frequencies.
    known = {hugging_face_name(name) for name in wanted} | {"lm_head.weight"}
    unknown = sorted(name for name in stored.keys() - known if not name.endswith("rotary_emb.inv_freq"))
    if unknown:
        raise ValueError(f"{folder} holds weights this decoder has no use for: {', '.join(unknown[:5])}")
    return options, state
