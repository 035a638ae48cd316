"""What a command says."""


def sentence(capsys):
    """What a command says on stderr: one line, no traceback."""
    said = capsys.readouterr().err
    assert said.startswith("vitrine: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said
