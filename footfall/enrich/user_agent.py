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
# Browsers of iOS that call it a Macintosh; no other system has them.
_OF_IOS = re.compile(
    r"\b(?:Cri|Edgi|Fxi|OPi|Ddg?i)OS/|\bGSA/|Macintosh;.* Mobile/|\bOPT/\d|(?:YaApp_|YaBrowser.*)iOS"
)
_BRAND = re.compile(r'"([^"]*)";\s*v="(\d*)[^"]*"')

# In this order: a television says Android too, a tablet says Mobile too. "Tablet PC" is a desktop's.
_DEVICES = {
    "tv": re.compile(
        r"(?i:smart-?tv|hbbtv|\b(?:apple|android|google|opera|mi) ?tv\b|appletv|netcast|bravia|\broku)"
        r"|Web0S|CrKey|VIDAA|\bAFT[A-Z0-9]{1,5}\b|\bDTV\b"
    ),
    "other": re.compile(r"PlayStation|Nintendo|Xbox|OculusBrowser|Watch ?OS|watchOS"),
    "tablet": re.compile(
        r"iPad|Tablet(?! PC)|PlayBook|TouchPad|Kindle|Silk/(?!.*Mobile)|\bKF[A-Z]{2,5}\b"
        r"|\bSM-[TPX]\d{3}|\bGT-P\d{4}|Nexus (?:7|9|10)\b|Xoom|Mozilla/(?!.*Mobi).*Android"
    ),
    "mobile": re.compile(
        r"Mobi|iPhone|iPod|Android|BlackBerry|BB10|Windows (?:Phone|CE)|Opera Mini|MIDP|J2ME|Symb"
        r"|Series ?[346]0|Nokia|SonyEricsson|UP\.Browser|Palm|webOS/|BREW|DoCoMo|KDDI|KAIOS"
    ),
    "desktop": re.compile(r"Windows|Macintosh|Mac OS X|Mac_P|X11|CrOS|Linux|BSD|SunOS"),
}


class Device(NamedTuple):
    """What a user agent tells; "" is unknown. Versions are "major" or, unless minor is 0, "major.minor"."""

    device_type: str  # desktop, mobile, tablet, tv or other; "" without a user agent
    browser: str
    browser_version: str
    os: str
    os_version: str


def parse_user_agent(user_agent: str, client_hints: str) -> Device:
    """Read a user agent, refined by `client_hints`: Sec-CH-UA, -Mobile and -Platform joined by "|"."""
    text = clean(user_agent, MAX_LENGTH)
    if not text:
        return Device("", "", "", "", "")
    found = _resolver()(text, Domain.USER_AGENT | Domain.OS)
    browser = browser_version = system = os_version = ""
    if agent := found.user_agent:
        browser = clean(_BROWSERS.get(agent.family, agent.family.partition(" (")[0]), _NAME)
        browser_version = _version(agent.major, agent.minor) if browser else ""
    if platform := found.os:
        system = clean(_SYSTEMS.get(platform.family, platform.family), _NAME)
        if system and not _FROZEN.search(text):
            os_version = _version(platform.major, platform.minor)
    kind = _device_type(text, system)
    if "Macintosh" in text and (system == "iOS" or _OF_IOS.search(text)):
        kind, system, os_version = "tablet", "iOS", ""  # it asks for pages as a desktop does
    device = Device(kind, browser, browser_version, system, os_version)
    return _refine(device, clean(client_hints, MAX_LENGTH)) if client_hints else device


@cache
def _resolver() -> Resolver:
    return Resolver(load_lazy_builtins())


def _version(major: str | None, minor: str | None) -> str:
    if not major:
        return ""
    return clean(f"{major}.{minor}" if minor and minor.strip("0") else major, 16)


def _device_type(text: str, system: str) -> str:
    for kind, pattern in _DEVICES.items():
        if pattern.search(text):
            return kind
    return {"iOS": "mobile", "macOS": "desktop", "Windows": "desktop"}.get(system, "other")


def _refine(device: Device, client_hints: str) -> Device:
    """Believe the hints where the user agent is known to say less, or to pretend."""
    if client_hints.count("|") < 2:
        return device
    brands, mobile, platform = client_hints.rsplit("|", 2)
    if device.browser == "Chrome":  # what Brave and others call themselves
        for found in _BRAND.finditer(brands):
            name, version = found.groups()
            if name not in {"Chromium", "Google Chrome"} and not re.search(r"Not.?A.?Brand", name):
                device = device._replace(
                    browser=clean(_BRANDS.get(name, name), _NAME), browser_version=version
                )
                break
    system = _PLATFORMS.get(platform.strip('" '), "")
    if system and system != device.os and not (system == "Linux" and device.device_type == "desktop"):
        device = device._replace(os=system, os_version="")
    if device.device_type in {"desktop", "mobile", "tablet"}:
        if mobile == "?1":
            device = device._replace(device_type="mobile")
        elif mobile == "?0" and device.os == "Android":
            device = device._replace(device_type="tablet")
    return device
