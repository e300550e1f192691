"""Measurements of documents: each is taken once, stored, and read by rules ever after.

`catalog` names them (light enough for loading a declaration); `characters`, `words`, `grams`, `lines` and
`fasttext_model` hold the compiled kernels over whole batches of UTF-8; `prose`, `repetition`, `code`, `language` and
`lists` turn what the kernels counted into signals; `measure` puts the columns of one batch together.
"""
