"""Opening a trained checkpoint again: to measure it, to sample from it, to export it."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from headwater.assets.context import StageError
from headwater.assets.fitting.stage import TOKENIZER
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.training.replicate import STATE
from headwater.models.backbones.decoder import Decoder, build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.hugging_face import export_llama
from headwater.models.trainer.state import load


def open_checkpoint(store: Store, record: Record, seed: int, device: str = "cpu") -> Decoder:
    """The trained network of one replicate.

    Raises:
        StageError: the weights are not where the record says.
    """
    folder = Path(store.place(record.asset).folder(record.digest)) / f"seed_{seed}" / STATE
    saved = load(folder)
    if saved is None:
        seeds = record.identity.options["seeds"]
        raise StageError(f"{record.asset} has no checkpoint of seed {seed} (its seeds: {seeds}); materialize it again.")
    model = build_decoder(DecoderOptions.model_validate(record.metrics["decoder"]), seed)
    model.load_state_dict(saved.model)
    return model.to(device).eval()


def export_checkpoint(model: Decoder, tokenizer: FittedTokenizer, folder: Path, log: Callable[[str], None]) -> None:
    """Writes a folder that `transformers` loads: config, weights and the tokenizer."""
    ids: dict[str, int | None] = {
        "bos_token_id": tokenizer.end_of_text_id,
        "eos_token_id": tokenizer.end_of_text_id,
        "pad_token_id": tokenizer.pad_id,
    }
    with torch.no_grad():
        export_llama(model, folder, ids)
    (folder / TOKENIZER).write_text(tokenizer.json, encoding="utf-8")
    config = tokenizer.transformers_config(model.options.context_length)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for path in sorted(folder.iterdir()):
        log(f"{path.name}  {path.stat().st_size:,} bytes")
