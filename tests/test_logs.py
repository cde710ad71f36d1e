"""Log lines: their two formats, what is left out, and repeated ones counted."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from streamkit.logs import CollapsingHandler, JsonFormatter, TextFormatter, configure_logging
from streamkit.settings import LogSettings

LOGGERS = ("", "streamkit", "actors", "sanic.access", "sanic.root", "watchdog", "urllib3", "databases", "somebody.rtmp")


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Give back what configure_logging changes for the whole process."""
    root = logging.getLogger()
    handlers, loggers = list(root.handlers), [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.disabled) for logger in loggers]
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    for logger, (level, disabled) in zip(loggers, before, strict=True):
        logger.level, logger.disabled = level, disabled
    logging.getLogger().manager._clear_cache()  # type: ignore[attr-defined]


class Log:
    """A logger with our handler, a clock that stands, and what was written."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.now = 0.0
        self._stream = io.StringIO()
        self.handler = CollapsingHandler(self._stream, clock=lambda: self.now)
        self.handler.setFormatter(formatter)
        self.logger = logging.Logger("streamkit.web.events", logging.DEBUG)  # noqa: LOG001 - in no hierarchy: pytest hears nothing
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


@pytest.fixture
def messages() -> Log:
    return Log(logging.Formatter("%(message)s"))


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("actors.stream", logging.INFO, "", 0, message, args, None)
    made.created = 1_700_000_000.25
    made.__dict__.update(extra)
    return made


def test_a_text_line_has_time_level_logger_message_key_and_session() -> None:
    line = TextFormatter().format(record("live after %g s", 2.5, key="cam1", session="s0000001", other="x"))
    assert line == "2023-11-14T22:13:20.250Z INFO stream: live after 2.5 s key=cam1 session=s0000001"


def test_a_json_line_is_one_object_with_the_same_fields() -> None:
    line = JsonFormatter().format(record("a\n%s", "é", key="cam1"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "stream",
        "message": "a\né",
        "key": "cam1",
    }


@pytest.mark.parametrize(("text", "shown"), [("a\nb", r"a\nb"), ("a\rb", r"a\rb"), ("\x1b[2J", r"\x1b[2J"), ("é", "é")])
def test_what_a_client_sends_cannot_begin_a_line_or_move_the_cursor(text: str, shown: str) -> None:
    assert TextFormatter().format(record("%s", text)).endswith(f"stream: {shown}")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_traceback_is_kept(formatter: logging.Formatter) -> None:
    log = Log(formatter)
    try:
        raise ValueError("broken")
    except ValueError:
        log.logger.exception("failed")
    assert "ValueError: broken" in "\n".join(log.lines)
    assert len(log.lines) == (1 if isinstance(formatter, JsonFormatter) else 5)


def test_a_repeated_message_is_written_once_a_second_with_its_count(messages: Log) -> None:
    for tenth in range(25):
        messages.now = tenth / 10
        messages.logger.error("the store refused segment %d", tenth)
    assert messages.lines == [
        "the store refused segment 0",
        "the store refused segment 9 (repeated 9x)",
        "the store refused segment 19 (repeated 10x)",
    ]


def test_a_message_that_comes_once_a_second_has_no_count(messages: Log) -> None:
    for second in range(3):
        messages.now = float(second)
        messages.logger.error("again")
    assert messages.lines == ["again"] * 3


@pytest.mark.parametrize(
    "second",
    [
        lambda logger: logger.warning("lost %d", 1, extra={"key": "b"}),
        lambda logger: logger.error("lost %d", 1, extra={"key": "a"}),
        lambda logger: logger.warning("gone %d", 1, extra={"key": "a"}),
    ],
    ids=["another key", "another level", "another template"],
)
def test_messages_that_differ_are_all_written(messages: Log, second: Callable[[logging.Logger], None]) -> None:
    messages.logger.warning("lost %d", 1, extra={"key": "a"})
    second(messages.logger)
    assert len(messages.lines) == 2


def test_below_warning_another_value_is_another_message(messages: Log) -> None:
    for sequence in (1, 1, 2):
        messages.logger.info("closed segment %d", sequence)
    assert messages.lines == ["closed segment 1", "closed segment 2"]


def test_a_count_is_written_with_the_next_message_of_any_kind(messages: Log) -> None:
    messages.logger.error("lost")
    messages.logger.error("lost")
    messages.now = 5.0
    messages.logger.info("stopping")
    assert messages.lines == ["lost", "lost (repeated 1x)", "stopping"]


def test_counts_that_are_left_are_written_when_the_log_is_closed(messages: Log) -> None:
    messages.logger.error("lost")
    messages.logger.error("lost")
    messages.handler.close()
    assert messages.lines == ["lost", "lost (repeated 1x)"]


def test_nothing_is_kept_of_messages_older_than_a_second(messages: Log) -> None:
    for number in range(1000):
        messages.now = number * 1.5
        messages.logger.info("message %d", number)
    assert len(messages.handler._recent) == 1


def test_a_log_call_with_wrong_arguments_does_not_end_its_caller(
    messages: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    messages.logger.info("%d", "no number")
    messages.logger.info("next")
    assert messages.lines == ["next"]


def test_our_level_is_the_configured_one_and_libraries_only_warn(
    untouched_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogSettings(level="DEBUG"))
    logging.getLogger("streamkit.x").debug("ours")
    logging.getLogger("actors.y").debug("ours too")
    logging.getLogger("urllib3.connectionpool").info("theirs")
    logging.getLogger("urllib3.connectionpool").warning("their warning")
    logging.getLogger("sanic.access").warning("GET /")
    assert [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "DEBUG x: ours",
        "DEBUG y: ours too",
        "WARNING urllib3.connectionpool: their warning",
    ]


def test_a_library_that_turns_its_own_logger_up_is_not_heard(
    untouched_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogSettings())
    logging.getLogger("somebody.rtmp").setLevel(logging.DEBUG)
    logging.getLogger("somebody.rtmp").info("theirs")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_higher_level_holds_for_libraries_too(
    untouched_logging: None, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    configure_logging(LogSettings.model_validate({"level": level}))
    for name in ("streamkit.x", "urllib3"):
        logging.getLogger(name).warning("look")
    assert len(capsys.readouterr().err.splitlines()) == (2 if level == "WARNING" else 0)


def test_configuring_again_replaces_the_handler(untouched_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings())
    configure_logging(LogSettings(format="json"))
    logging.getLogger("streamkit.x").info("once")
    assert json.loads(capsys.readouterr().err)["message"] == "once"


@pytest.mark.parametrize("order", ["flood(); setup()", "setup(); flood()"])
def test_a_library_that_configures_logging_before_or_after_does_not_open_the_flood(order: str) -> None:
    script = (
        "import logging\n"
        "from streamkit.logs import configure_logging\n"
        "from streamkit.settings import LogSettings\n"
        "def setup(): configure_logging(LogSettings())\n"
        "def flood():\n"
        "    logging.basicConfig(level=logging.DEBUG)\n"
        "    logging.getLogger('somebody.rtmp').setLevel(logging.DEBUG)\n"
        f"{order}\n"
        "logging.getLogger('somebody.rtmp').info('flood')\n"
        "logging.getLogger('asyncio').debug('flood')\n"
        "logging.getLogger('streamkit.rtmp').info('ours')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout == ""
    assert [line.partition(" ")[2] for line in run.stderr.splitlines()] == ["INFO rtmp: ours"]
