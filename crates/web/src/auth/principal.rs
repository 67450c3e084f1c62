//! Who asks, and what they may.

use std::time::Duration;

use actix_web::http::StatusCode;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;
use werkpilot_core::role::Role;

use crate::problem::Problem;
use crate::routes::{Access, Route};

/// How somebody came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over the control socket: the user of the orchestrator.
    ControlSocket,
    /// With a token; its id.
    Token(String),
    /// With a cookie.
    Session,
    /// With nothing.
    Anonymous,
}

impl Way {
    /// The word that the audit log uses.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ControlSocket => "control_socket",
            Self::Token(_) => "token",
            Self::Session => "session",
            Self::Anonymous => "anonymous",
        }
    }
}

/// Until when a token or a session is good.
#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    /// Its sender goes when it is revoked.
    pub alive: watch::Receiver<()>,
    /// How long it lasts anyway.
    pub left: Option<Duration>,
}

impl Tenure {
    /// Resolves when it is over.
    pub fn over(mut self) -> LocalBoxFuture<'static, ()> {
        async move {
            let revoked = async { while self.alive.changed().await.is_ok() {} };
            match self.left {
                Some(left) => drop(tokio::time::timeout(left, revoked).await),
                None => revoked.await,
            }
        }
        .boxed_local()
    }
}

/// Who asks; in the extensions of every request that the gate lets in.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// As events and the audit log name them: `cli:ada`, `token:ci`, `session:ada`, `anonymous`.
    pub name: String,
    /// What they may; nobody else than who is anonymous has none.
    pub role: Option<Role>,
    /// How they came in.
    pub way: Way,
    /// Whether the overview is theirs without any role: on this machine, and not through a proxy.
    pub overview: bool,
    /// Until when an answer that goes on and on may go on.
    pub tenure: Option<Tenure>,
}

impl Principal {
    /// Who came over the control socket.
    pub fn over_control_socket(name: String) -> Self {
        Self { name, role: Some(Role::Admin), way: Way::ControlSocket, overview: true, tenure: None }
    }

    /// Who showed nothing.
    pub fn anonymous(overview: bool) -> Self {
        Self { name: "anonymous".to_owned(), role: None, way: Way::Anonymous, overview, tenure: None }
    }

    /// Whether they may use a route.
    pub fn may(&self, route: &Route) -> Result<(), Problem> {
        match (route.access, route.access.role(), self.role) {
            (Access::Public, ..) => Ok(()),
            (Access::Local, ..) if self.way == Way::ControlSocket => Ok(()),
            (Access::Local, ..) => Err(only_here()),
            (Access::Overview, _, None) if self.overview => Ok(()),
            (_, Some(needed), Some(role)) if role.may(needed) => Ok(()),
            (_, Some(needed), Some(role)) => Err(self.too_little(needed, role)),
            _ => Err(unknown()),
        }
    }

    fn too_little(&self, needed: Role, role: Role) -> Problem {
        let text = format!("this takes the role {needed}, and {} is {role}", self.name);
        Problem::new(StatusCode::FORBIDDEN, text)
            .of_kind("urn:werkpilot:role")
            .hint("ask an admin for a token of that role (`werkpilot token create NAME --role ROLE`)")
    }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "this takes a token or a login")
        .of_kind("urn:werkpilot:unauthenticated")
        .hint("open the link of `werkpilot login`, or send `Authorization: Bearer TOKEN` (`werkpilot token create`)")
}

fn only_here() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "this is served over the control socket only")
        .of_kind("urn:werkpilot:local")
        .hint("use `werkpilot login` on the machine of the orchestrator, as its user")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::ROUTES;

    fn with(role: Option<Role>, way: Way, overview: bool) -> Principal {
        Principal { name: "x".to_owned(), role, way, overview, tenure: None }
    }

    #[test]
    fn who_may_use_a_route_is_who_its_row_says() {
        let nobody = Principal::anonymous(false);
        let here = Principal::anonymous(true);
        let token = |role| with(Some(role), Way::Token("1".to_owned()), false);
        let socket = Principal::over_control_socket("cli:ada".to_owned());
        for route in ROUTES {
            let let_in = |who: &Principal| who.may(route).is_ok();
            let expected = match route.access {
                Access::Public => [true; 6],
                Access::Overview => [false, true, true, true, true, true],
                Access::Viewer => [false, false, true, true, true, true],
                Access::Operator => [false, false, false, true, true, true],
                Access::Admin => [false, false, false, false, true, true],
                Access::Local => [false, false, false, false, false, true],
            };
            let tokens = Role::ALL.map(|role| let_in(&token(role)));
            let found = [let_in(&nobody), let_in(&here), tokens[0], tokens[1], tokens[2], let_in(&socket)];
            assert_eq!(found, expected, "{route:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenure_ends_when_it_is_revoked_or_when_its_time_is_over() {
        let (sender, alive) = watch::channel(());
        let endless = Tenure { alive: alive.clone(), left: None }.over();
        let short = Tenure { alive, left: Some(Duration::from_secs(5)) };
        let begin = tokio::time::Instant::now();
        short.over().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
        drop(sender);
        endless.await;
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
    }
}
