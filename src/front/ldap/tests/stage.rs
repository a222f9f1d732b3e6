//! A directory whose every byte is the test's.

use tokio::sync::mpsc;

use super::*;

/// A directory where everybody is one person; who plays its servers is the test.
#[derive(Debug)]
pub(super) struct Stage {
    connected: mpsc::UnboundedSender<Actor>,
    proof: Proof,
}

/// One connection to it, as a server sees it.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Stage {
    /// The directory, and the connections that will be made to it.
    pub(super) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Actor>) {
        let (connected, actors) = mpsc::unbounded_channel();
        (Arc::new(Self { connected, proof: Proof::TokenGroups("tokenGroups") }), actors)
    }

    /// A client that is bound, and the server that it is bound on.
    pub(super) async fn bound() -> (Caller, Actor) {
        let (stage, mut actors) = Self::new();
        let mut caller = Caller::of(stage, HERE, Duration::ZERO);
        let actor = caller.binds(1, &mut actors).await;
        (caller, actor)
    }
}

impl Caller {
    /// Binds, and the server lets it in.
    pub(super) async fn binds(&mut self, id: u32, actors: &mut mpsc::UnboundedReceiver<Actor>) -> Actor {
        self.says(&bind_request(id, "one", b"pass")).await;
        let mut actor = actors.recv().await.unwrap();
        actor.lets_in(id).await;
        assert_eq!(self.hears().await, (id, 0));
        actor
    }

    /// Binds on the connection that it has, and the server lets it in.
    pub(super) async fn binds_again(&mut self, id: u32, actor: &mut Actor) {
        self.says(&bind_request(id, "one", b"pass")).await;
        actor.lets_in(id).await;
        assert_eq!(self.hears().await, (id, 0));
    }
}

#[async_trait]
impl Directory for Stage {
    fn name(&self) -> &str {
        "stage"
    }
    async fn resolve(&self, _login: &str) -> Result<Entry, PrimaryError> {
        let identity = Identity("S-1-5-18".into());
        Ok(Entry { directory: "stage".into(), identity, dn: "CN=one".into(), name: "one".into(), mail: None, phone: None, password_set: None })
    }
    async fn authenticate(&self, _entry: &Entry, _password: &Secret) -> Result<Identity, PrimaryError> {
        std::future::pending().await
    }
    async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
        Err(PasswordError::Unsupported)
    }
    async fn groups(&self, _entry: &Entry, _wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        Ok(Vec::new())
    }
    async fn connect(&self) -> Result<Connected, PrimaryError> {
        let (near, far) = tokio::io::duplex(65_536);
        let _ = self.connected.send(Actor { stream: far, buffer: Vec::new() });
        Ok(Connected { stream: Box::new(near), server: 0 })
    }
    fn broke(&self, _server: usize, _why: &dyn Display) {}
    fn proof(&self) -> Proof {
        self.proof
    }
    fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
        PrimaryError::Refused { who: None, why: Refused::WrongPassword }
    }
}

impl Actor {
    pub(super) async fn says(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` when the door has left.
    pub(super) async fn hears(&mut self) -> Option<Vec<u8>> {
        next_frame(&mut self.stream, &mut self.buffer).await
    }

    /// The door leaves without another word.
    pub(super) async fn is_left(&mut self) {
        assert_eq!(self.hears().await, None);
    }

    /// Hears a bind and says yes, then tells who that was.
    pub(super) async fn lets_in(&mut self, id: u32) {
        self.hears_bind(id).await;
        self.says(&wire_answer(Op::Bind, id, Code::Success, "")).await;
        self.tells_root().await;
    }

    pub(super) async fn hears_bind(&mut self, id: u32) {
        let bytes = self.hears().await.unwrap();
        assert_eq!(bytes, bind_request(id, "CN=one", b"pass").to_vec(), "the name that was found and the password");
    }

    /// Hears a question about the root DSE and answers it.
    pub(super) async fn tells_root(&mut self) {
        let bytes = self.hears().await.unwrap();
        let asked = Frame::split(&bytes, 1 << 20).unwrap().unwrap();
        assert!(matches!(asked.request(), Ok(Request::Search(search)) if search.reads_root()));
        let known = KNOWN.iter().map(|oid| oid.as_bytes().to_vec()).collect();
        let attributes = vec![("tokenGroups".to_owned(), vec![vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]]), ("supportedControl".to_owned(), known)];
        self.says(&wire_entry(asked.id, &Found { dn: String::new(), attributes })).await;
        self.says(&wire_answer(Op::Search, asked.id, Code::Success, "")).await;
    }
}

/// Controls that the directory says it knows: paged results, server side sorting, virtual list view, tree delete, pre-read.
pub(super) const KNOWN: [&str; 5] = [PAGED, SORTED, LIST_VIEW, "1.2.840.113556.1.4.805", "1.3.6.1.1.13.1"];
pub(super) const PAGED: &str = "1.2.840.113556.1.4.319";
pub(super) const SORTED: &str = "1.2.840.113556.1.4.473";
pub(super) const LIST_VIEW: &str = "2.16.840.1.113730.3.4.9";

pub(super) fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let length = match u8::try_from(len) {
        Ok(short) if short < 0x80 => vec![short],
        _ => [&[0x84][..], &u32::try_from(len).unwrap().to_be_bytes()].concat(),
    };
    [&[tag][..], &length, value].concat()
}

/// A message of any kind, with whatever follows its operation.
pub(super) fn message(id: u32, op: u8, body: &[u8], rest: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let id = id.iter().position(|octet| *octet != 0).map_or(&id[3..], |from| &id[from..]);
    let id = if id[0] & 0x80 == 0 { id.to_vec() } else { [&[0], id].concat() };
    element(0x30, &[element(0x02, &id), element(op, body), rest.to_vec()].concat())
}

/// The controls of a message, with their values.
pub(super) fn controls(controls: &[(&str, bool, &[u8])]) -> Vec<u8> {
    let one = |(oid, critical, value): &(&str, bool, &[u8])| {
        let critical = if *critical { element(0x01, &[0xff]) } else { Vec::new() };
        element(0x30, &[element(0x04, oid.as_bytes()), critical, element(0x04, value)].concat())
    };
    element(0xa0, &controls.iter().flat_map(one).collect::<Vec<u8>>())
}

/// A search below `base`, all in it as given.
pub(super) fn search(id: u32, base: &str, scope: u8, filter: &[u8], rest: &[u8]) -> Vec<u8> {
    let numbers = [element(0x0a, &[scope]), element(0x0a, &[3]), element(0x02, &[0x03, 0xe8]), element(0x02, &[30]), element(0x01, &[0])].concat();
    let attributes = element(0x30, &[element(0x04, b"cn"), element(0x04, b"1.1")].concat());
    message(id, 0x63, &[element(0x04, base.as_bytes()), numbers, filter.to_vec(), attributes].concat(), rest)
}

pub(super) fn present() -> Vec<u8> {
    element(0x87, b"objectClass")
}

pub(super) fn extended(id: u32, name: &str, value: Option<&[u8]>) -> Vec<u8> {
    let value = value.map(|value| element(0x81, value)).unwrap_or_default();
    message(id, 0x77, &[element(0x80, name.as_bytes()), value].concat(), &[])
}

/// The result of an operation, with what may follow the diagnostic text.
pub(super) fn result(id: u32, op: u8, code: u8, text: &[u8], more: &[u8], rest: &[u8]) -> Vec<u8> {
    message(id, op, &[element(0x0a, &[code]), element(0x04, b"DC=corp"), element(0x04, text), more.to_vec()].concat(), rest)
}
