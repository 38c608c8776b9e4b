"""Days begin where the list of days has them, in zones with odd midnights too."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.model.calendar import days, first_day_start, is_day_start, last_day_start

DAY = 86_400_000
CHANGES = {
    "America/St_Johns": (2010, 11, 7),  # back from 0:01 to 23:01
    "America/Santiago": (2025, 4, 6),  # back from 24:00 to 23:00
    "America/Havana": (2025, 3, 9),  # midnight is skipped
    "Pacific/Apia": (2011, 12, 30),  # the day is skipped
    "Australia/Lord_Howe": (2025, 4, 6),  # by half an hour
    "Africa/Monrovia": (1972, 1, 7),  # by 44:30
    "Asia/Kathmandu": (1986, 1, 1),
    "Europe/Berlin": (2025, 3, 30),
    "UTC": (2025, 1, 1),
}


@given(name=st.sampled_from(sorted(CHANGES)), off=st.integers(-4 * DAY, 4 * DAY), data=st.data())
@settings(max_examples=400, deadline=None)
def test_days_begin_where_the_list_of_days_has_them(name, off, data):
    zone = ZoneInfo(name)
    at = round(datetime(*CHANGES[name], tzinfo=UTC).timestamp() * 1000) + off
    starts = list(days(at - 5 * DAY, at + 5 * DAY, zone))
    if data.draw(st.booleans()):
        at = min(starts, key=lambda start: abs(start - at)) + data.draw(st.integers(-1, 1))
    assert last_day_start(at, zone) == max(start for start in starts if start <= at)
    assert first_day_start(at, zone) == min(start for start in starts if start >= at)
    assert is_day_start(at, zone) == (at in starts)
