//! Who has which credentials: one pair per process of an agent, and one for operators.
//!
//! Invariant: a process's credentials are known before the process starts, and unknown once it has ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use werkpilot_bus::switch::{Authenticator, Identity, Who, same};
use werkpilot_core::ids::AgentName;
use werkpilot_process::random_token;

/// The user name of operators. It is no name of an agent: `config` reserves it.
pub const OPERATOR: &str = "operator";

/// The book of credentials. Shared by the arbiter that starts processes and the one of the bus.
pub struct Credentials {
    operator: String,
    agents: Mutex<HashMap<u64, (AgentName, String)>>,
    by_secret: Mutex<HashMap<String, u64>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self { operator: random_token(), agents: Mutex::default(), by_secret: Mutex::default() }
    }
}

impl Credentials {
    /// The operators' password.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// Makes a password for a process of an agent. `key` is different for each process and not 0.
    pub fn issue(&self, key: u64, agent: &AgentName) -> String {
        let secret = random_token();
        self.agents().insert(key, (agent.clone(), secret.clone()));
        self.by_secret().insert(secret.clone(), key);
        secret
    }

    /// Forgets a process. Whether it was known.
    pub fn revoke(&self, key: u64) -> bool {
        let Some((_, secret)) = self.agents().remove(&key) else { return false };
        self.by_secret().remove(&secret);
        true
    }

    fn agents(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (AgentName, String)>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_secret(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.by_secret.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authenticator for Credentials {
    fn identify(&self, user: &str, password: &str) -> Option<Identity> {
        if user == OPERATOR {
            return same(password, &self.operator).then_some(Identity { who: Who::Operator, credential: 0 });
        }
        // Passwords are random; what finds them by their hash leaks nothing that helps to guess one.
        let key = *self.by_secret().get(password)?;
        let agents = self.agents();
        let (agent, _) = agents.get(&key).filter(|(agent, _)| agent.as_str() == user)?;
        Some(Identity { who: Who::Agent(agent.clone()), credential: key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_good_for_one_agent_and_as_long_as_its_process() {
        let book = Credentials::default();
        let (sales, db) = (AgentName::new("sales").unwrap(), AgentName::new("db").unwrap());
        let (first, second) = (book.issue(1, &sales), book.issue(2, &db));
        assert_eq!(book.identify("sales", &first), Some(Identity { who: Who::Agent(sales), credential: 1 }));
        assert_eq!(book.identify("sales", &second), None);
        assert_eq!(book.identify("db", ""), None);
        assert!(book.revoke(1) && !book.revoke(1));
        assert_eq!(book.identify("sales", &first), None);
        assert!(book.identify("db", &second).is_some());
    }

    #[test]
    fn operators_have_a_password_of_their_own() {
        let book = Credentials::default();
        let operator = book.operator().to_owned();
        assert_eq!(book.identify(OPERATOR, &operator).map(|identity| identity.who), Some(Who::Operator));
        assert_eq!(book.identify(OPERATOR, "x"), None);
        assert_ne!(operator, Credentials::default().operator);
    }
}
