"""Measurements of documents: each is taken once, stored, and read by rules ever after.

`catalog` names them (light enough for loading a declaration); `characters`, `words` and `lines` hold the compiled
kernels over whole batches of UTF-8; `prose`, `repetition`, `code`, `language`, `pii` and `lists` turn what the kernels
counted into signals; `measure` puts the columns of one batch together.
"""
