//! What failed for good, kept with all that is needed to understand and to replay it.
//!
//! A letter is open until somebody replays or discards it; [`DeadLetterRing`] keeps the last ones and says what may be
//! done about each, [`ReplayPlan`] replays many in order, at a rate, until too many fail. Nothing here reads a clock.

mod filter;
mod letter;
mod plan;
mod ring;
mod standing;

pub use filter::LetterFilter;
pub use letter::{
    Attempt, DeadLetter, DeadLetterDraft, DependencyState, ExecutionData, MemoryUse, PublicDeadLetter,
    PublicExecutionData,
};
pub use plan::{Pace, PlanAction, PlanEvent, PlanState, ReplayPlan, Tally};
pub use ring::{DeadLetterGroup, DeadLetterRing};
pub use standing::{LetterRefusal, LetterState, PARK_AFTER, Standing, Step};

#[cfg(test)]
mod tests;
