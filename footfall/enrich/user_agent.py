"""User agent and client hints -> kind of device, browser and operating system.

The rules are ua-parser's (its Rust engine). Added here are the kind of device, which ua-parser
does not tell, and honesty: values that browsers froze in their user agents, whatever they
really run on, are unknown ("").

Frozen are "Android 10; K" (Chrome since 110), Windows NT 10.0 (Windows 10 and 11), macOS 10.15.7
(10.15 in Firefox), the build number of Chrome OS, and iOS 18.6 and 18.7 (what iOS 26 and later
say too) unless Safari's own version agrees.
"""

import re
from functools import cache
from typing import NamedTuple

from ua_parser import Domain, load_lazy_builtins
from ua_parser.regex import Resolver

from footfall.enrich.device_type import device_type
from footfall.enrich.text import clean

MAX_LENGTH = 512  # of what is looked at: real ones are shorter, and the rules' time grows with it
_NAME = 64

# One browser is one name, and the device says where it runs.
_BROWSERS = {
    "Other": "",
    "Android": "Android Browser",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Chrome (in-app)",
    "Chrome Mobile iOS": "Chrome",
    "Edge Mobile": "Edge",
    "Firefox Alpha": "Firefox",
    "Firefox Beta": "Firefox",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "IE Large Screen": "IE",
    "IE Mobile": "IE",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari (in-app)",
    "Opera Mobile": "Opera",
    "Opera Tablet": "Opera",
    "Yandex Browser Lite": "Yandex Browser",
}
_SYSTEMS = {"Other": "", "ATV OS X": "tvOS", "Mac OS X": "macOS", "Web0S": "webOS"}

# What Sec-CH-UA calls browsers that ua-parser calls otherwise.
_BRANDS = {"Google Chrome": "Chrome", "Microsoft Edge": "Edge", "Android WebView": "Chrome (in-app)"}
_PLATFORMS = {
    name: name for name in ("Android", "Chrome OS", "Fuchsia", "iOS", "Linux", "macOS", "Windows")
} | {"Chromium OS": "Chrome OS"}

_FROZEN = re.compile(
    r"Android 10; K[);]|Windows NT 10\.0|Mac OS X 10_15_7|Mac OS X 10\.15;|CrOS "
    r"|OS 18_[67](?!.* Version/18)"
)
_HINTS = re.compile(
    r'(.*)\|(\?[01]|)\|("[^"|]*"|[^"|]*)(?:\|("[^"]*"|[^"|]*)\|("[^"]*"|[^"|]*)\|([^|]*))?', re.DOTALL
)
_FORM_FACTORS = (
    ("Tablet", "tablet"),
    ("Mobile", "mobile"),
    ("Desktop", "desktop"),
    ("XR", "other"),
    ("Watch", "other"),
)
# Browsers of iOS that call it a Macintosh; no other system has them.
_OF_IOS = re.compile(
    r"\b(?:Cri|Edgi|Fxi|OPi|Ddg?i)OS/|\bGSA/|Macintosh;.* Mobile/|\bOPT/\d|(?:YaApp_|YaBrowser.*)iOS"
)
_BRAND = re.compile(r'"([^"]*)";\s*v="(\d*)[^"]*"')


class Device(NamedTuple):
    """What a user agent tells; "" is unknown. Versions are "major" or, unless minor is 0, "major.minor"."""

    device_type: str  # desktop, mobile, tablet, tv or other; "" without a user agent
    browser: str
    browser_version: str
    os: str
    os_version: str


def parse_user_agent(user_agent: str, client_hints: str) -> Device:
    """Read a user agent, refined by `client_hints`: Sec-CH-UA, -Mobile and -Platform joined by "|".

    Behind these may stand -Model, -Platform-Version and -Form-Factors.
    """
    text = clean(user_agent, MAX_LENGTH)
    if not text:
        return Device("", "", "", "", "")
    frozen = _FROZEN.search(text) is not None
    hints = _read_hints(clean(client_hints, MAX_LENGTH)) if client_hints else None
    if hints and hints.model:
        text = _with_model(text, hints)
    found = _resolver()(text, Domain.USER_AGENT | Domain.OS)
    browser = browser_version = system = os_version = ""
    if agent := found.user_agent:
        browser = clean(_BROWSERS.get(agent.family, agent.family.partition(" (")[0]), _NAME)
        browser_version = _version(agent.major, agent.minor) if browser else ""
    if platform := found.os:
        system = clean(_SYSTEMS.get(platform.family, platform.family), _NAME)
        if system and not frozen:
            os_version = _version(platform.major, platform.minor)
    kind = device_type(text, system)
    if "(Macintosh;" in text and (system == "iOS" or _OF_IOS.search(text)):
        kind, system, os_version = "tablet", "iOS", ""  # it asks for pages as a desktop does
        browser, browser_version = _browser_of_ios(text) or (browser, browser_version)
    device = Device(kind, browser, browser_version, system, os_version)
    return _refine(device, hints) if hints else device


def _browser_of_ios(text: str) -> tuple[str, str] | None:
    """Those that the rules take for the Safari they say to be like."""
    found = re.search(r"\b(FxiOS|GSA)/(\d+)", text)
    return ({"FxiOS": "Firefox", "GSA": "Google"}[found[1]], found[2]) if found else None


@cache
def _resolver() -> Resolver:
    return Resolver(load_lazy_builtins())


def _version(major: str | None, minor: str | None) -> str:
    if not major:
        return ""
    return clean(f"{major}.{minor}" if minor and minor.strip("0") else major, 16)


class _Hints(NamedTuple):
    brands: str
    mobile: str
    platform: str
    model: str
    platform_version: str
    form_factors: str


def _read_hints(text: str) -> _Hints | None:
    found = _HINTS.fullmatch(text)
    if found is None:
        return None
    brands, *rest = (part or "" for part in found.groups())
    return _Hints(brands, *(part.strip('" ') for part in rest))


def _with_model(text: str, hints: _Hints) -> str:
    """An Android user agent with the model that it leaves out, as it would have said it once."""
    version = hints.platform_version.partition(".")[0] or "10"
    return re.sub(r"Android 10; K(?=[;)])", lambda _: f"Android {version}; {hints.model}", text, count=1)


def _refine(device: Device, hints: _Hints) -> Device:
    """Believe the hints where the user agent is known to say less, or to pretend."""
    if device.browser == "Chrome":  # what Brave and others call themselves
        for found in _BRAND.finditer(hints.brands):
            name, version = found.groups()
            if name not in {"Chromium", "Google Chrome"} and not re.search(r"Not.?A.?Brand", name):
                device = device._replace(
                    browser=clean(_BRANDS.get(name, name), _NAME), browser_version=version
                )
                break
    system = _PLATFORMS.get(hints.platform, "")
    if system and system != device.os and not (system == "Linux" and device.device_type == "desktop"):
        device = device._replace(os=system, os_version="")
    if hints.platform_version and (system or device.os):
        device = device._replace(os_version=_real_version(device.os, hints.platform_version))
    return device._replace(device_type=_refined_type(device, hints))


def _refined_type(device: Device, hints: _Hints) -> str:
    for name, kind in _FORM_FACTORS:
        if name in hints.form_factors:
            return kind
    if device.device_type not in {"desktop", "mobile", "tablet"} or (
        hints.model and device.device_type != "desktop"
    ):
        return device.device_type  # of a model that is known; many a tablet says that it is mobile
    if hints.mobile == "?1":
        return "mobile"
    return "tablet" if hints.mobile == "?0" and device.os == "Android" else device.device_type


def _real_version(system: str, written: str) -> str:
    """What the hint means: Windows counts its own way, and says 0 for what is older than 10."""
    major, minor, *_ = (*written.split("."), "0", "0")
    if not major.isdecimal() or not minor.isdecimal():
        return ""
    if system != "Windows":
        return _version(major, minor)
    if major == "0":
        return {"1": "7", "2": "8", "3": "8.1"}.get(minor, "")
    return "11" if int(major) >= 13 else "10"
