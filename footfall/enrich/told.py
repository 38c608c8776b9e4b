"""What a sender with a key says itself of a visitor's program: it is kept where it is filled in.

What it leaves open is read from the user agent, as everybody's is.
"""

from footfall.enrich.bots import NOT_A_BOT, Bot, classify
from footfall.enrich.user_agent import Device, parse_user_agent
from footfall.model.record import Told

# What others call the classes of devices.
_DEVICES = {
    "desktop": "desktop", "pc": "desktop", "computer": "desktop", "laptop": "desktop", "web": "desktop",
    "mobile": "mobile", "smartphone": "mobile", "phone": "mobile", "feature phone": "mobile",
    "mobile phone": "mobile", "phablet": "mobile", "handset": "mobile",
    "tablet": "tablet",
    "tv": "tv", "smarttv": "tv", "smart tv": "tv", "television": "tv",
    "other": "other", "console": "other", "wearable": "other", "watch": "other", "smartwatch": "other",
    "embedded": "other", "car": "other", "car browser": "other", "xr": "other", "peripheral": "other",
    "portable media player": "other", "camera": "other", "smart speaker": "other", "smart display": "other",
}  # fmt: skip


def device_type_of(text: str) -> str:
    """Our name for a class of devices; "" for what is none."""
    return _DEVICES.get(text.strip().lower().replace("-", " ").replace("_", " "), "")


def device(user_agent: str, client_hints: str, told: Told | None) -> Device:
    """Device, browser and system: as told, else as the user agent says."""
    read = parse_user_agent(user_agent, client_hints)
    if told is None:
        return read
    browser, version = _named(told.browser, told.browser_version, read.browser, read.browser_version)
    system, system_version = _named(told.os, told.os_version, read.os, read.os_version)
    return Device(told.device_type or read.device_type, browser, version, system, system_version)


def bot(user_agent: str, client_hints: str, told: Told | None) -> Bot:
    """Whether it is a bot's: as told, else as user agent and client hints say."""
    read = classify(user_agent, client_hints)
    if told is None or (told.is_bot is None and not told.bot_name):
        return read
    if told.is_bot is False:
        return NOT_A_BOT
    return Bot(True, told.bot_name or read.bot_name, read.bot_category or "other")


def _named(name: str, version: str, read: str, read_version: str) -> tuple[str, str]:
    """A version that was read is that of the name that was read."""
    return name or read, version or (read_version if not name or name == read else "")
