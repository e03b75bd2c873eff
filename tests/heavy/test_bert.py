"""A small BERT with its tokenizer, saved as a folder with model.py, embeds texts as a service."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from norman_jupyter import BlockingNorman, ModelFailed

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

_WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "quickly",
    "slowly",
    "and",
    ".",
    ",",
]
_TEXTS = ["The cat sat on the mat.", "A dog ran", "under a tree, quickly and slowly"]
_MODEL_CODE = '''
"""Embeds texts: the mean of BERT's last hidden states over each text's tokens."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer


class Model:
    def load(self, files: Path, device: str) -> None:
        self.device = device
        self.tokenizer = AutoTokenizer.from_pretrained(files / "bert")
        self.model = AutoModel.from_pretrained(files / "bert").to(device).eval()

    def predict(self, texts: list[str]) -> NDArray[np.float32]:
        if not texts:
            raise ValueError("there are no texts")
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            states = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        return ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
'''


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch  # here, so that collecting the tests stays quick
    import transformers

    folder = tmp_path_factory.mktemp("embedder")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*special, *_WORDS]) + "\n", encoding="utf-8")
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(special) + len(_WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(20)
    transformers.BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    vocabulary.unlink()
    (folder / "model.py").write_text(textwrap.dedent(_MODEL_CODE), encoding="utf-8")
    return folder


def _embed_directly(folder: Path, texts: list[str]) -> np.ndarray:
    """One text at a time, so that neither padding nor masking is taken over from the service."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "bert")
    model = transformers.AutoModel.from_pretrained(folder / "bert").eval()
    rows = []
    with torch.inference_mode():
        for text in texts:
            states = model(**tokenizer([text], return_tensors="pt")).last_hidden_state
            rows.append(states[0].mean(0).numpy())
    return np.stack(rows)


def test_bert_embeds_texts_as_it_does_when_run_directly(bert_folder, norman_server):
    with BlockingNorman(norman_server.url, norman_server.token) as norman:
        version = norman.upload(bert_folder, name="embedder", trust=True)
        assert version.state == "ready"
        assert version.runtime == "python"

        embeddings = norman.invoke("embedder", texts=_TEXTS).value

        assert embeddings.dtype == np.float32
        assert embeddings.shape == (3, 32)
        np.testing.assert_allclose(embeddings, _embed_directly(bert_folder, _TEXTS), atol=1e-5)
        assert not np.allclose(embeddings[0], embeddings[1], atol=1e-3)

        with pytest.raises(ModelFailed) as caught:
            norman.invoke("embedder", texts=[])
        assert "there are no texts" in caught.value.traceback
        assert "model.py" in caught.value.traceback
