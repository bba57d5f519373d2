//! What was measured, as a table for `docs/performance.md`.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::delay_proxy::Traffic;
use super::measure::Times;

/// The measurements of one program at one work.
pub struct Measured {
    pub times: Vec<Times>,
    /// KiB.
    pub memory: Vec<u64>,
    /// Of one run.
    pub traffic: Traffic,
}

/// One line of the table.
pub struct Row {
    pub work: &'static str,
    pub theirs: Measured,
    pub ours: Measured,
}

/// The lines above the first row.
pub const HEAD: &str = "\
| work | wall | cpu | peak memory | requests | connections |
|---|---|---|---|---|---|";

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = |figure: fn(&Measured) -> f64| (figure(&self.theirs), figure(&self.ours));
        let (wall, cpu, memory) = (of(Measured::wall), of(Measured::cpu), of(Measured::memory));
        write!(f, "| {} | {} |", self.work, compared(wall, "ms"))?;
        write!(f, " {} | {} |", compared(cpu, "ms"), compared(memory, "MiB"))?;
        write!(f, " {} → {} |", self.theirs.requests(), self.ours.requests())?;
        write!(f, " {} → {} |", self.theirs.traffic.connections, self.ours.traffic.connections)
    }
}

impl Measured {
    fn wall(&self) -> f64 {
        milliseconds(median(self.times.iter().map(|times| times.wall)))
    }

    fn cpu(&self) -> f64 {
        milliseconds(median(self.times.iter().map(|times| times.cpu)))
    }

    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    fn memory(&self) -> f64 {
        median(self.memory.iter().copied()) as f64 / 1024.0
    }

    /// Those inside of TLS cannot be counted.
    fn requests(&self) -> String {
        match self.traffic.requests.len() {
            0 if self.traffic.connections > 0 => "?".to_owned(),
            requests => requests.to_string(),
        }
    }
}

fn compared((theirs, ours): (f64, f64), unit: &str) -> String {
    let ratio = ours / theirs;
    let digits = usize::from(ours.min(theirs) < 100.0);
    format!("{theirs:.digits$} → {ours:.digits$} {unit} (**{ratio:.2}**)")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The upper one of an even number.
fn median<T: Ord>(figures: impl Iterator<Item = T>) -> T {
    let mut figures: Vec<T> = figures.collect();
    figures.sort();
    let middle = figures.len() / 2;
    figures.swap_remove(middle)
}
