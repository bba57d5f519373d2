//! Whether large layers are fetched in parts.

use std::num::NonZeroUsize;

use clap::Args;

use crate::source::ParallelRanges;

/// `--parallel-ranges` and what belongs to it.
#[derive(Args, Debug)]
pub(super) struct RangeArgs {
    /// Fetch a layer of 16 MiB or more in N parts of 8 MiB at a time; without it, in one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=64))]
    parallel_ranges: Option<u8>,
    /// With --parallel-ranges: ask all mirrors and the origin for parts in turn, instead of the one that works
    #[arg(long, requires = "parallel_ranges")]
    spread_ranges: bool,
}

impl RangeArgs {
    pub(super) fn ranges(&self) -> Option<ParallelRanges> {
        let ranges = NonZeroUsize::new(self.parallel_ranges?.into())?;
        Some(ParallelRanges { spread: self.spread_ranges, ..ParallelRanges::new(ranges) })
    }
}
