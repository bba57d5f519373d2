//! The wire below everything: ureq, blocking sockets and rustls. Nothing outside names ureq.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ureq::http as ureq_http;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector, SocksConnector};
use ureq::{Agent, AsSendBody, Proxy};

use super::{Error, Method, Proxies, Request, Response, Timeouts, Tls, Wire};
use crate::recent::Recent;
use crate::safe_url::SafeUrl;

mod body;
mod dial;
mod failure;
mod resolver;

use body::{CheckedBody, Limit};
use dial::HappyEyeballs;
use failure::to_error;
use resolver::LimitedResolver;

/// A server may redirect each request to another host, and each host costs a set of authorities: what was not used for
/// longest is forgotten.
const MOST_AGENTS: usize = 32;

/// Sends requests over real sockets.
///
/// Connections are kept and used again, by host and TLS settings.
pub struct UreqWire {
    timeouts: Timeouts,
    proxies: Proxies,
    user_agent: String,
    agents: Mutex<Recent<AgentKey, Agent, MOST_AGENTS>>,
    system_roots: OnceLock<Vec<Certificate<'static>>>,
    dialer: HappyEyeballs,
}

/// What connections are shared by.
#[derive(PartialEq, Eq)]
struct AgentKey {
    origin: String,
    tls: Arc<Tls>,
    connect_timeout: Duration,
}

impl fmt::Debug for UreqWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqWire")
            .field("timeouts", &self.timeouts)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

impl UreqWire {
    /// A wire with no connection yet.
    pub fn new(timeouts: Timeouts, proxies: Proxies, user_agent: impl Into<String>) -> Self {
        let user_agent = user_agent.into();
        let (system_roots, dialer) = (OnceLock::new(), HappyEyeballs::default());
        Self { timeouts, proxies, user_agent, agents: Mutex::default(), system_roots, dialer }
    }

    fn agent(&self, url: &SafeUrl, tls: &Arc<Tls>, connect_timeout: Duration) -> Result<Agent, Error> {
        let key = AgentKey { origin: url.origin(), tls: Arc::clone(tls), connect_timeout };
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.get(key, || self.new_agent(url, tls, connect_timeout))
    }

    fn new_agent(&self, url: &SafeUrl, tls: &Tls, connect_timeout: Duration) -> Result<Agent, Error> {
        const MOST_CONNECTIONS: usize = 64;
        let proxy = self.proxies.for_url(url).map(|proxy| Proxy::new(proxy.expose())).transpose();
        let mut config = Agent::config_builder()
            .proxy(proxy.map_err(|_| Error::BadProxy { url: url.clone() })?)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(&self.user_agent)
            .accept("")
            .accept_encoding("identity")
            .timeout_resolve(Some(connect_timeout))
            .timeout_connect(Some(connect_timeout))
            .timeout_per_read(Some(self.timeouts.idle))
            .timeout_per_write(Some(self.timeouts.idle))
            .timeout_recv_response(Some(self.timeouts.head()))
            .max_idle_connections(MOST_CONNECTIONS)
            .max_idle_connections_per_host(MOST_CONNECTIONS)
            .max_idle_age(Duration::from_secs(90));
        if url.is_https() {
            config = config.tls_config(self.tls_config(tls));
        }
        Ok(Agent::with_parts(config.build(), self.connector(), LimitedResolver))
    }

    /// What ureq has by default, but for what connects to an address.
    fn connector(&self) -> impl Connector + use<> {
        let proxied = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
        proxied.chain(self.dialer.clone()).chain(RustlsConnector::default())
    }

    fn tls_config(&self, tls: &Tls) -> TlsConfig {
        let mut roots = tls.authorities.iter().map(|der| Certificate::from_der(der).to_owned()).collect::<Vec<_>>();
        if !tls.insecure_skip_verify {
            roots.extend(self.system_roots.get_or_init(load_system_roots).iter().cloned());
        }
        let mut config = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .disable_verification(tls.insecure_skip_verify);
        if let Some(identity) = &tls.identity {
            // The key was read and matched when the identity was made, so this cannot fail.
            if let Ok(key) = PrivateKey::from_pem(identity.key_pem().expose()) {
                let chain: Vec<_> = identity.chain().iter().map(|der| Certificate::from_der(der).to_owned()).collect();
                config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
            }
        }
        config.build()
    }
}

/// Unreadable system certificates are not fatal: a registry may have its own.
fn load_system_roots() -> Vec<Certificate<'static>> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        log::warn!("system certificates: {error}");
    }
    loaded.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}

impl Wire for UreqWire {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        let url = &request.url;
        let mut outgoing = ureq_http::Request::builder().method(request.method.clone()).uri(url.expose());
        if let Some(headers) = outgoing.headers_mut() {
            headers.extend(request.headers.clone());
        }
        let timeouts = Timeouts { connect: request.connect_timeout.unwrap_or(self.timeouts.connect), ..self.timeouts };
        let agent = self.agent(url, &request.tls, timeouts.connect)?;
        // Servers want a `Content-Length` of these, be it 0.
        let has_body = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
        let sent = if request.body.is_empty() && !has_body {
            outgoing.body(()).map_err(ureq::Error::from).and_then(|outgoing| run(&agent, outgoing, request, &timeouts))
        } else {
            let outgoing = outgoing.body(&request.body).map_err(ureq::Error::from);
            outgoing.and_then(|outgoing| run(&agent, outgoing, request, &timeouts))
        };
        let (head, body) = sent.map_err(|error| to_error(url, &timeouts, error))?.into_parts();
        let limit = request.is_large.then(|| Limit::of_large(head.status, &timeouts));
        let body = CheckedBody::new(body.into_reader(), url.clone(), timeouts, limit);
        Ok(Response { status: head.status, headers: head.headers, body: Box::new(body), url: url.clone() })
    }
}

/// Sends a request with its own limits.
fn run(
    agent: &Agent,
    outgoing: ureq_http::Request<impl AsSendBody>,
    request: &Request,
    timeouts: &Timeouts,
) -> Result<ureq_http::Response<ureq::Body>, ureq::Error> {
    let limited = agent
        .configure_request(outgoing)
        .timeout_send_body(Some(timeouts.sending(request.body.len())))
        .timeout_recv_body((!request.is_large).then_some(timeouts.answer));
    agent.run(limited.build())
}

#[cfg(test)]
mod tests {
    use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use ureq::unversioned::transport::NextTimeout;

    use super::*;

    #[test]
    fn a_name_without_an_address_is_not_a_refused_connection() {
        let wire = UreqWire::new(Timeouts::default(), Proxies::default(), "test");
        // No name has a label of 64 characters, so nobody is asked.
        let url = format!("http://{}.example/", "a".repeat(64));
        let request = Request::get(url.parse().unwrap(), Arc::default());
        assert!(matches!(wire.send(&request), Err(Error::HostNotFound { .. })));
    }

    /// Says that any name has these addresses.
    #[derive(Debug)]
    struct Fixed(Vec<std::net::SocketAddr>);

    impl Resolver for Fixed {
        fn resolve(
            &self,
            _: &ureq_http::Uri,
            _: &ureq::config::Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut all = self.empty();
            self.0.iter().for_each(|address| all.push(*address));
            Ok(all)
        }
    }

    #[test]
    fn a_host_is_reached_at_whichever_of_its_addresses_answers() {
        use std::io::{Read as _, Write as _};
        use std::net::{TcpListener, TcpStream};

        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (server, other) = (listen(), listen());
        // The near end of a connection has a port where nobody listens, and nobody will.
        let near = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        let addresses = vec![near.local_addr().unwrap(), server.local_addr().unwrap()];
        let wire = UreqWire::new(Timeouts::default(), Proxies::default(), "test");
        let agent = Agent::with_parts(Agent::config_builder().build(), wire.connector(), Fixed(addresses));
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        assert_eq!(agent.get("http://host.example/").call().unwrap().status(), 204);
        answering.join().unwrap();
    }
}
