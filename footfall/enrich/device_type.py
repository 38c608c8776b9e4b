"""Desktop, mobile, tablet, tv or other: what kind of device a user agent is of.

The lists of device-detector know models by name (see `devices`); where they know nothing, or the model is
left out as browsers do today, words decide. The order is device-detector's own.
"""

import re

from footfall.enrich.devices import Kind, compile_pattern, device_kind

_HBBTV = compile_pattern(r"(?:HbbTV|SmartTvA)/[1-9]")
_SHELL = compile_pattern(r"[a-z]+[ _]Shell[ _]\w{6}|tclwebkit\d")
_FACEBOOK_MODEL = "FBMD/"
_NO_MODEL = compile_pattern(r"Android (?:1[0-6][.\d]*; K(?: Build/|[;)])|1[0-6]\)) AppleWebKit")
_SAYS_DESKTOP = compile_pattern(r"(?:^|[^A-Z0-9_-])(?:Desktop|PC)(?: (?:x(?:32|64)|WOW64))?;")
# What Apple's own network library writes of a Mac: its processor or its model.
_MAC = compile_pattern(
    r"Darwin/[\d.]+ \((?:x86_64|i386|Power)|\bMac(?:Book|mini|Pro|Studio)|\biMac|^Safari/?[15]\d{4}\."
)
_TELEVISION = compile_pattern(
    r"Andr0id|(?:Android(?: UHD)?|Google) ?TV|\(lite\) TV|BRAVIA|Firebolt| TV$|\(TV;|\bNETTV/|\bCE-HTML|hbbtv"
    r"|Opera TV Store| OMI/|VIDAA|Coolita|smart-?tv|SmartHub|\b(?:apple|opera|mi) ?tv\b|netcast|\broku|\btvOS"
    r"|Tizen.+ TV |Large Screen|Web0S|CrKey|\bAFT[A-Z0-9]{1,9}\b|\bTV Bro|TiviMate|\bSraf|\bVewd|\bEspial"
    r"|Kylo/|LogicUI|LUJO|QJY TV|Crow ?Browser|Quick Search TV|Open TV|REDLINECLIENT|WhaleTV|Maple2|TitanOS"
)
_PERHAPS_TELEVISION = compile_pattern(r"\bDTV\b|\bSTB\b|set-?top|\bIPTV\b|\bTV(?:[^\w/]|$)")
_OTHER = compile_pattern(r"PlayStation|Nintendo|Xbox|OculusBrowser|Watch ?OS|\bVR ")
_TABLET = re.compile(
    r"iPad|Tablet(?! PC)|-tablet$|PlayBook|TouchPad|Kindle|Silk/(?!.*Mobile)|\bKF[A-Z]{2,5}\b|Xoom|Pad/APad"
    r"|Nexus (?:7|9|10)\b|Puffin/[\d.]+[AILW]T"
)
_MOBILE = compile_pattern(
    r"Mobi|eliboM|-mobile$|iPhone|iPh\d|iPod|Android|BlackBerry|BB10|Windows ?(?:Phone|CE)|Opera Mini|MIDP"
    r"|J2ME|Symb|Series ?[346]0|Nokia|SonyEricsson|UP\.Browser|Palm|webOS/|BREW|DoCoMo|KDDI|KAIOS|\bWAP"
    r"|\biOS\b|Puffin/[\d.]+[AIFLW]P"
)
_DESKTOP = compile_pattern(
    r"Windows|\bWin(?:9[58x]|NT|32|64|7|8|1[01])\b|Macintosh|Mac ?OS|os=Mac|\bDarwin\b|X11|CrOS|Linux|BSD"
    r"|SunOS|OS/2|Amiga|BeOS|Haiku|Inferno|Syllable|CYGWIN|\bWTOS\b|-apple-|-linux-gnu|Red Hat|SUSE"
    r"|ms-?office|Mac_P|Microsoft-|Microsoft Edge Update|WinSparkle|Puffin/[\d.]+[LMW]D"
)
_TOUCH = re.compile(r"Windows NT 6\.[23].*(?:Touch|ARM;)|Windows RT")
_CALLED_TABLET = compile_pattern(r"Android [\d.]+;(?: [a-z_-]{2,5};)?[^;)]*\b(?:Pad|Tab|Tablet)\b[^;)]*[;)]")
_OLD_TABLET = re.compile(r"Android 3\.")


def device_type(text: str, system: str) -> Kind:
    """The kind of device, by the user agent and the name of the operating system that it tells."""
    television = _TELEVISION.search(text) is not None
    if not television and (_SAYS_DESKTOP.search(text) or _MAC.search(text)):
        return "desktop"
    listed = _listed(text)
    if listed == "other" or not television:
        return listed or _told(text, system)
    return "tv"


def is_known_device(text: str) -> bool:
    """Whether it names a device that people hold in their hands or sit before."""
    return bool(_listed(text)) or _TELEVISION.search(text) is not None


def _listed(text: str) -> Kind | None:
    """What the lists know of it."""
    if _HBBTV.search(text):
        return device_kind("televisions", text) or "tv"
    if _SHELL.search(text):
        return "tv"
    if _FACEBOOK_MODEL in text and (kind := device_kind("notebooks", text)):
        return kind
    if _NO_MODEL.search(text):
        return None
    kind = device_kind("devices", text)
    return "tablet" if kind == "mobile" and _CALLED_TABLET.search(text) else kind


def _told(text: str, system: str) -> Kind:
    """What words say of a device that no list knows."""
    if _OTHER.search(text):
        return "other"
    if "Android" in text and "Chrome/" in text:
        return "mobile" if re.search("Mobile|eliboM", text) else "tablet"
    if _PERHAPS_TELEVISION.search(text) and "Mobile" not in text:
        return "tv"
    if _TABLET.search(text) or _TOUCH.search(text) or _OLD_TABLET.search(text):
        return "tablet"
    if _MOBILE.search(text):
        return "mobile"
    if _DESKTOP.search(text):
        return "desktop"
    return {"iOS": "mobile", "macOS": "desktop", "Windows": "desktop"}.get(system, "other")  # pyright: ignore[reportReturnType] -- all are kinds
