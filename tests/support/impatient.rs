//! A machine that is impatient with somebody, and with nobody else.

use std::sync::Arc;

use transship::http::{Error, Request, Response, Wire};

/// Gives what is asked of certain servers a wire of its own, with shorter timeouts. Everybody else may take their time: a
/// machine that is busy with other tests makes no test fail.
pub struct Impatient {
    pub patient: Arc<dyn Wire>,
    pub hasty: Arc<dyn Wire>,
    pub towards: Vec<Towards>,
}

/// Whom: requests to this `host:port` with this in their URL.
#[derive(Debug, Clone)]
pub struct Towards {
    pub authority: String,
    pub part: Part,
}

/// A part of a URL.
#[derive(Debug, Clone)]
pub enum Part {
    Anywhere(String),
    End(String),
}

impl Wire for Impatient {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let url = request.url.expose();
        let has = |part: &Part| match part {
            Part::Anywhere(part) => url.contains(part),
            Part::End(part) => url.ends_with(part),
        };
        let is_meant = |towards: &Towards| url.contains(&towards.authority) && has(&towards.part);
        if self.towards.iter().any(is_meant) { self.hasty.send(request) } else { self.patient.send(request) }
    }
}
