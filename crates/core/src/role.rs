//! What somebody may do through the API: one ladder, on which each step includes those below it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A step of the ladder. Declared from least to most, so that "may" is a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything: logs, payloads and settings as well.
    Viewer,
    /// Acts on agents, executions and dead letters, pauses and resumes triggers, and uses the bus.
    Operator,
    /// Reloads and shuts down, makes and revokes tokens, and reads the audit log.
    Admin,
}

/// A word that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`; there are viewer, operator and admin")]
pub struct UnknownRole(String);

impl Role {
    /// Every role, least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word that the API and the command line use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may do what `needed` may do.
    pub fn may(self, needed: Self) -> bool {
        self >= needed
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_what_lesser_roles_may() {
        for (step, role) in Role::ALL.into_iter().enumerate() {
            for (needed_step, needed) in Role::ALL.into_iter().enumerate() {
                assert_eq!(role.may(needed), step >= needed_step, "{role} {needed}");
            }
        }
    }

    #[test]
    fn a_role_is_the_same_word_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        let error = "root".parse::<Role>().unwrap_err();
        insta::assert_snapshot!(error, @"there is no role `root`; there are viewer, operator and admin");
    }
}
