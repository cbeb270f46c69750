//! Text of an `interval` in PostgreSQL's style `postgres`, such as `1 year 2 mons -3 days +04:05:06.789`.

/// The numbers of an `interval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) years: i32,
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) hours: i32,
    pub(crate) minutes: i32,
    /// The microseconds of the seconds.
    pub(crate) micros: i32,
}

impl Interval {
    /// Reads an interval whose numbers fit into Java's `int`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut interval = Self::default();
        let mut words = text.split(' ');

        while let Some(word) = words.next() {
            if word.contains(':') {
                interval.clock(word)?;
                continue;
            }
            let number = word.parse().ok()?;
            match words.next()? {
                "year" | "years" => interval.years = number,
                "mon" | "mons" => interval.months = number,
                "day" | "days" => interval.days = number,
                _ => return None,
            }
        }
        Some(interval)
    }

    fn clock(&mut self, text: &str) -> Option<()> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut parts = digits.splitn(3, ':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let whole: i32 = whole.parse().ok()?;
        let fraction: i32 = format!("{fraction:0<6}").parse().ok()?;

        self.hours = sign * hours.parse::<i32>().ok()?;
        self.minutes = sign * minutes.parse::<i32>().ok()?;
        self.micros = sign * whole.checked_mul(1_000_000)?.checked_add(fraction)?;
        Some(())
    }
}
