//! Stopping the server and starting it again by request: `POST service`, as `mc admin service` asks. The server does it; this
//! reads the order and answers before it is carried out.

use serde_json::json;

use super::answer::Answer;
use super::error::AdminError;
use super::query::Query;
use crate::access::Action;

/// How the server is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process ends well.
    Stop,
    /// The process executes itself again, with the same arguments.
    Restart,
}

/// A server that can be told to end.
pub trait Power: Send + Sync {
    /// Ends it once what it is answering is answered; only the first order counts.
    fn order(&self, ending: Ending);
}

/// The rights, one of which an order needs.
pub(super) fn actions(query: Option<&Query>) -> &'static [Action] {
    match query.and_then(|query| query.get("action")) {
        Some("restart") => &[Action::AdminServiceRestart],
        Some("stop") => &[Action::AdminServiceStop],
        // Asked for everything, so that nobody learns less what is built by asking for it.
        Some(_) | None => &[Action::AdminEverything],
    }
}

/// Gives the order, unless it is a rehearsal.
pub(super) fn serve(power: &dyn Power, query: &Query, host: &str) -> Result<Answer, AdminError> {
    let word = query.must("action")?;
    let ending = match word {
        "restart" => Ending::Restart,
        "stop" => Ending::Stop,
        "freeze" | "unfreeze" => return Err(AdminError::NotBuilt("Freezing of S3 requests")),
        other => return Err(AdminError::Argument(format!("There is no action {other}."))),
    };
    let rehearsal = query.is_true("dry-run");
    if !rehearsal {
        power.order(ending);
    }
    Ok(Answer::Document(json!({
        "action": word,
        "dryRun": rehearsal,
        "results": [{ "host": host }],
    })))
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Noted(Mutex<Vec<Ending>>);

    impl Power for Noted {
        fn order(&self, ending: Ending) {
            self.0.lock().push(ending);
        }
    }

    #[test]
    fn an_order_is_given_once_and_a_rehearsal_gives_none() {
        let noted = Noted::default();
        let ask = |query: &str| serve(&noted, &Query::parse(Some(query)).unwrap(), "here:9000");
        let Ok(Answer::Document(told)) = ask("action=restart&dry-run=true&type=2") else {
            panic!("no document");
        };
        assert_eq!(told["results"][0]["host"], "here:9000");
        assert_eq!(noted.0.lock().as_slice(), []);
        assert!(ask("action=restart&dry-run=false&type=2").is_ok() && ask("action=stop").is_ok());
        assert_eq!(noted.0.lock().as_slice(), [Ending::Restart, Ending::Stop]);
        assert!(matches!(ask("action=freeze"), Err(AdminError::NotBuilt(_))));
        assert!(matches!(ask("action=burn"), Err(AdminError::Argument(_))));
        assert!(matches!(ask(""), Err(AdminError::Argument(_))));
        assert_eq!(noted.0.lock().len(), 2);
    }
}
