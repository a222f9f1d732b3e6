//! The administration socket: made so that nobody else ever gets a foot in, and bounded.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use axum::serve::Listener;
use nix::unistd::Gid;
use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio::time::Sleep;
use tracing::warn;

use super::peer::Peer;

/// Connections at once; the next ones wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// And so many of them.
const BACKLOG: i32 = 64;
/// A connection on which nothing moves is closed after this.
const IDLE: Duration = Duration::from_secs(60);
/// After an accept that failed (no descriptors left) we wait before the next.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The listening socket. Its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Doorway {
    listener: UnixListener,
    slots: Arc<Semaphore>,
    _place: Place,
}

impl Doorway {
    /// Makes the socket at `path`, for its owner and, if there is one, `group`. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// The folder can be written by anybody, another server answers there, something else lies there, or the system refuses.
    pub(super) fn open(path: &Path, group: Option<Gid>) -> io::Result<Self> {
        check_folder(path)?;
        make_room(path)?;
        let (socket, place) = bind(path, group)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)), _place: place })
    }
}

impl Listener for Doorway {
    type Io = Visit;
    type Addr = Peer;

    async fn accept(&mut self) -> (Visit, Peer) {
        // Nobody closes the semaphore.
        let Ok(slot) = self.slots.clone().acquire_owned().await else { return std::future::pending().await };
        loop {
            match self.listener.accept().await.and_then(|(stream, _)| stream.peer_cred().map(|peer| (stream, peer))) {
                Ok((stream, peer)) => {
                    let idle = Box::pin(tokio::time::sleep(IDLE));
                    return (Visit { stream, idle, _slot: slot }, Peer { uid: peer.uid(), gid: peer.gid() });
                }
                Err(error) => {
                    warn!(%error, "no administrator could be let in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Connected<IncomingStream<'_, Doorway>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Doorway>) -> Self {
        *stream.remote_addr()
    }
}

/// One connection: it holds its slot and ends when nothing moves any more.
#[derive(Debug)]
pub(super) struct Visit {
    stream: UnixStream,
    idle: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl Visit {
    fn timed<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return moved;
        }
        self.idle.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.timed(context, moved)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The socket's file.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for Place {
    /// Takes the file away, if it is still ours.
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where anybody may write, anybody may put a socket of their own in place of ours.
fn check_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let found = fs::metadata(folder)?;
    if found.mode() & 0o002 != 0 {
        return Err(io::Error::new(ErrorKind::PermissionDenied, format!("anybody may write in {}: use a folder of its own", folder.display())));
    }
    Ok(())
}

/// Takes a dead server's socket away. A socket that answers stays, and so does anything that is no socket.
fn make_room(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket lies there: move it away"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, "another vestibule answers there: stop it first, or use another path")),
    }
}

/// Between `bind` and `listen` nobody can connect, and by then the file has its mode.
fn bind(path: &Path, group: Option<Gid>) -> io::Result<(Socket, Place)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let made = fs::symlink_metadata(path)?;
    let place = Place { path: path.to_owned(), device: made.dev(), inode: made.ino() };
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    if let Some(group) = group {
        // Under the packaged unit it is, and nothing may be given away.
        let given = if made.gid() == group.as_raw() { Ok(()) } else { lchown(path, None, Some(group.as_raw())) };
        match given {
            Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o660))?,
            Err(error) => warn!(%error, "the admin socket stays closed to its group: the server's user is no member of it"),
        }
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((socket, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_servers_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let doorway = Doorway::open(&path, None).unwrap();
        let error = Doorway::open(&path, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(path.exists(), "a refused server must not take the live one's file away");
        drop(doorway);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_socket_is_closed_to_others_and_another_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let doorway = Doorway::open(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(doorway);
        fs::write(&path, "precious").unwrap();
        assert_eq!(Doorway::open(&path, None).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_group_may_read_and_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let doorway = Doorway::open(&path, Some(nix::unistd::getegid())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        drop(doorway);
    }

    #[tokio::test]
    async fn a_folder_that_anybody_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let path = folder.path().join("admin.sock");
        assert_eq!(Doorway::open(&path, None).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert!(!path.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_and_frees_its_slot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let mut doorway = Doorway::open(&path, None).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        let (mut visit, _) = doorway.accept().await;
        assert_eq!(doorway.slots.available_permits(), CONNECTIONS_MAX - 1);
        let error = tokio::io::AsyncReadExt::read(&mut visit, &mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(visit);
        assert_eq!(doorway.slots.available_permits(), CONNECTIONS_MAX);
    }
}
