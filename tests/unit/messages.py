"""What the tests of files ask of an error message."""


def one_sentence(error, *mentions):
    """The message is one line and one sentence, and it contains each of `mentions`."""
    message = str(error.value)
    assert "\n" not in message and ". " not in message and not message.endswith("."), message
    assert len(message) > 20, message
    for mention in mentions:
        assert str(mention) in message, message
