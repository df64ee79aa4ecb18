//! Distributions of durations.

use std::time::{Duration, Instant};

/// What was measured, sorted, in nanoseconds.
pub struct Samples(Vec<f64>);

impl Samples {
    /// Times `runs` calls, after one that is not counted.
    pub fn time(runs: usize, mut call: impl FnMut() -> Result<(), String>) -> Result<Self, String> {
        call()?;
        let mut samples = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = Instant::now();
            call()?;
            samples.push(nanos(start.elapsed()));
        }
        Ok(Self::of(samples))
    }

    /// What was measured elsewhere, in nanoseconds.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }

    /// The value below which the fraction `part` of the samples lies.
    pub fn percentile(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let index = (part * last as f64).round() as usize;
        self.0.get(index.min(last)).copied().unwrap_or(f64::NAN)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Nanoseconds as a number.
pub fn nanos(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// A duration of so many nanoseconds, for people.
pub fn human(nanoseconds: f64) -> String {
    match nanoseconds {
        value if value.is_nan() => "-".into(),
        value if value < 1e3 => format!("{value:.0} ns"),
        value if value < 1e6 => format!("{:.2} us", value / 1e3),
        value if value < 1e9 => format!("{:.2} ms", value / 1e6),
        value => format!("{:.2} s", value / 1e9),
    }
}
