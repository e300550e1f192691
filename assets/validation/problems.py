"""One thing that is wrong in a declaration, and the error that carries all of them."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a declaration.

    Attributes:
        file: path within the workspace.
        line: line of the offending value, from 1.
        field: where it is, as the user wrote it, for example ``attributes.sources[0].path``; empty: the whole file.
        message: what is wrong.
        mend: what to write instead, where it is known.
    """

    file: str
    line: int
    field: str
    message: str
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: {self.field}: " if self.field else f"{self.file}:{self.line}: "
        return where + self.message + (f" {self.mend}" if self.mend else "")


class DeclarationError(Exception):
    """Declarations are wrong; holds every problem found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} in the declarations:\n" + "\n".join(f"  {problem}" for problem in problems))
