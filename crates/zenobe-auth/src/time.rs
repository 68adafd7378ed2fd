//! Seconds since 1970 and the basic form of ISO 8601 that signatures carry, such as
//! `20261123T204500Z`. No leap seconds, no zones, no clock.

/// A moment: seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

const SECONDS_PER_DAY: u64 = 86_400;

impl UnixSeconds {
    /// The moment in ISO 8601's basic form.
    ///
    /// ```
    /// assert_eq!(zenobe_auth::UnixSeconds(1_440_938_160).to_basic(), "20150830T123600Z");
    /// ```
    #[must_use]
    pub fn to_basic(self) -> String {
        let (year, month, day) = civil_from_days(self.0 / SECONDS_PER_DAY);
        let second = self.0 % SECONDS_PER_DAY;
        format!(
            "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }

    /// Reads ISO 8601's basic form: exactly 16 characters, all fields in range, not before 1970.
    #[must_use]
    pub fn from_basic(text: &str) -> Option<Self> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes.get(from..to)?.iter().try_fold(0u64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
            })
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        let in_range = year >= 1970
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        in_range.then(|| {
            Self(
                days_from_civil(year, month, day) * SECONDS_PER_DAY
                    + hour * 3600
                    + minute * 60
                    + second,
            )
        })
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, 1970 or later.
///
/// The year is counted from March, so that the leap day is its last.
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    // Cycles of 400 years have 146,097 days.
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = cycle * 400 + year_of_cycle + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        for (text, seconds) in [
            ("19700101T000000Z", 0),
            ("20000229T235959Z", 951_868_799),
            ("20150830T123600Z", 1_440_938_160),
            ("20261123T204500Z", 1_795_466_700),
        ] {
            assert_eq!(UnixSeconds::from_basic(text), Some(UnixSeconds(seconds)), "{text}");
            assert_eq!(UnixSeconds(seconds).to_basic(), text);
        }
    }

    #[test]
    fn malformed_moments() {
        for text in [
            "",
            "201",
            "20150230T000000Z",
            "20151301T000000Z",
            "20150830T240000Z",
            "20150830T123600",
            "2015-08-30T12:36:00Z",
            "20150830 123600Z",
            "19690101T000000Z",
            "+0150830T123600Z",
            "2015083éT123600Z",
        ] {
            assert_eq!(UnixSeconds::from_basic(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(seconds in 0u64..253_402_300_799) {
            let moment = UnixSeconds(seconds);
            prop_assert_eq!(UnixSeconds::from_basic(&moment.to_basic()), Some(moment));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,20}") {
            let _ = UnixSeconds::from_basic(&text);
        }
    }
}
