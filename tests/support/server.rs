//! A scripted HTTP server on a free port of the loopback.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::reply::{Door, Reply, Then};
pub use super::request::ReceivedRequest;
pub use super::server_tls::ServerTls;

type Handler = dyn Fn(&ReceivedRequest) -> Reply + Send + Sync;

/// Runs until it is dropped. Every connection has a thread and is kept alive unless a [`Reply`] says otherwise.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Speaks plain HTTP.
    pub fn http(handler: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(handler))
    }

    /// Speaks HTTPS, and tells off who does not.
    pub fn https(handler: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static, tls: &ServerTls) -> Self {
        Self::start(Some(tls.config()), Box::new(handler))
    }

    fn start(tls: Option<Arc<ServerConfig>>, handler: Box<Handler>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared { address, handler, tls, state: Mutex::default(), changed: Condvar::new() });
        let accepted = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accepted.accept(listener));
        Self { address, scheme, shared, accepting: Some(accepting) }
    }

    /// `127.0.0.1:port`, as it stands in a reference.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// An absolute URL; `target` begins with `/`.
    pub fn url(&self, target: &str) -> String {
        format!("{}://{}{target}", self.scheme, self.address)
    }

    /// Everything received so far, in order.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// `GET /path` for each request so far: what most tests assert.
    pub fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }

    /// How connections are received from now on; those that are open stay so.
    pub fn set_door(&self, door: Door) {
        self.shared.set_door(door);
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Door {
    /// Over TLS with the certificate of `tls`.
    pub fn showing(tls: &ServerTls) -> Self {
        Self::Showing(tls.config())
    }
}

struct Shared {
    address: SocketAddr,
    handler: Box<Handler>,
    tls: Option<Arc<ServerConfig>>,
    state: Mutex<State>,
    /// Told when the server is stopped, or nobody listens any more.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_stopped: bool,
    /// `None` for one that has ended.
    connections: Vec<Option<TcpStream>>,
    requests: Vec<ReceivedRequest>,
    door: Door,
    /// Both ends of a connection to a port where nobody listens any more: nobody else is given that port.
    placeholder: Option<(TcpStream, Option<TcpStream>)>,
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let (door, number) = match self.receive(&stream) {
                Reception::Stopped => return,
                Reception::Refused => continue,
                Reception::LastOne => break,
                Reception::Welcome { door, number } => (door, number),
            };
            let shared = Arc::clone(self);
            // It ends with its connection; an error is the peer's leave or a scripted fault.
            std::thread::spawn(move || shared.serve(&stream, number, &door));
        }
        drop(listener);
        self.state.lock().unwrap().door = Door::Closed;
        self.changed.notify_all();
    }

    fn receive(&self, stream: &TcpStream) -> Reception {
        let mut state = self.state.lock().unwrap();
        if state.is_stopped {
            return Reception::Stopped;
        }
        let clone = stream.try_clone().expect("a socket can be cloned");
        let Some((near, far)) = &mut state.placeholder else {
            state.connections.push(Some(clone));
            return Reception::Welcome { door: state.door.clone(), number: state.connections.len() };
        };
        if stream.peer_addr().ok() != near.local_addr().ok() {
            return Reception::Refused;
        }
        *far = Some(clone);
        Reception::LastOne
    }

    fn set_door(&self, door: Door) {
        let mut state = self.state.lock().unwrap();
        if matches!(state.door, Door::Closed) || state.placeholder.is_some() {
            return;
        }
        if !matches!(door, Door::Closed) {
            state.door = door;
            return;
        }
        let near = TcpStream::connect(self.address).expect("the server listens");
        state.placeholder = Some((near, None));
        drop(self.changed.wait_while(state, |state| !state.is_stopped && !matches!(state.door, Door::Closed)));
    }

    fn serve(&self, stream: &TcpStream, number: usize, door: &Door) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let outcome = match (door, &self.tls) {
            (Door::Silent, _) => {
                self.pause(None);
                Ok(Ending::Closed)
            }
            (Door::Saying(bytes), _) => (&*stream).write_all(bytes).and_then(|()| drain(stream)),
            (Door::Showing(config), _) | (_, Some(config)) => {
                self.serve_tls(Arc::clone(config), stream.try_clone()?, number)
            }
            (_, None) => self.converse(&mut &*stream, number),
        };
        // Whoever keeps a clone of a socket keeps it open.
        self.state.lock().unwrap().connections[number - 1] = None;
        match outcome {
            Ok(Ending::Reset) => set_socket_linger(stream, Some(Duration::ZERO))?,
            _ => stream.shutdown(Shutdown::Both)?,
        }
        Ok(())
    }

    fn serve_tls(&self, config: Arc<ServerConfig>, stream: TcpStream, number: usize) -> io::Result<Ending> {
        const TLS_HANDSHAKE: u8 = 22;
        let mut first = [0];
        if stream.peek(&mut first)? == 1 && first[0] != TLS_HANDSHAKE {
            (&stream)
                .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")?;
            return drain(&stream);
        }
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        self.converse(&mut StreamOwned::new(session, stream), number)
    }

    fn converse(&self, stream: &mut (impl Read + Write), number: usize) -> io::Result<Ending> {
        loop {
            let request = match ReceivedRequest::read(stream, number) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(Ending::Closed),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
                    return Ok(Ending::Closed);
                }
                Err(error) => return Err(error),
            };
            self.state.lock().unwrap().requests.push(request.clone());
            let reply = (self.handler)(&request);
            if reply.is_reset() {
                return Ok(Ending::Reset);
            }
            request.read_last_byte(stream)?;
            let then = reply.send(stream, request.method == "HEAD", &|duration| self.pause(duration))?;
            if let Some(door) = reply.door() {
                self.set_door(door.clone());
            }
            match then {
                Then::KeepAlive => {}
                Then::Close => return Ok(Ending::Closed),
                Then::Reset => return Ok(Ending::Reset),
            }
        }
    }

    /// Waits for the end of the server, or of the time.
    fn pause(&self, duration: Option<Duration>) {
        let state = self.state.lock().unwrap();
        match duration {
            None => drop(self.changed.wait_while(state, |state| !state.is_stopped)),
            Some(duration) => drop(self.changed.wait_timeout_while(state, duration, |state| !state.is_stopped)),
        }
    }

    fn stop(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_stopped = true;
        for connection in state.connections.iter().flatten() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }
}

/// What becomes of a new connection.
enum Reception {
    /// The number of the connection is counted from 1.
    Welcome {
        door: Door,
        number: usize,
    },
    Refused,
    /// Nobody listens behind it.
    LastOne,
    Stopped,
}

enum Ending {
    Closed,
    Reset,
}

/// Reads what the peer still says, so that closing does not reset the connection before it has read the answer.
fn drain(mut stream: &TcpStream) -> io::Result<Ending> {
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink())?;
    Ok(Ending::Closed)
}
