"""What can be said wrongly about runs of marks (see `marks`). No torch here: loading many pipelines must stay cheap."""


def refuse_few(ids: tuple[int, int], groups: int | None, runs: int, tokens: int) -> None:
    """Checks that there are different ids for `runs` runs of `tokens` tokens, of a group each where there are groups.

    Raises:
        ValueError: there are too few, or they cannot be divided into equal groups.
    """
    there = ids[1] - ids[0] + 1
    if groups is None:
        if there < runs * tokens:
            raise ValueError(f"runs need {runs * tokens} different tokens and ids has {there}")
        return
    if groups < 1 or there % groups:
        raise ValueError(f"ids has {there} tokens, which are not {groups} equal groups")
    if groups < runs:
        raise ValueError(f"each of {runs} runs needs a group of its own and there are {groups}")
    if there // groups < tokens:
        raise ValueError(f"a run needs {tokens} different tokens and a group has {there // groups}")
