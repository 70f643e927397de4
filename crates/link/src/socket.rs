//! The socket: whole packets, and descriptors with them.

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix,
        SocketFlags, SocketType, accept_with, bind, connect, listen, recvmsg, sendmsg, shutdown,
        socket_with, sockopt,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::message::{MAX_MESSAGE_BYTES, MessageError, decode, encode};

/// Why the link does not work, or no more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Of the socket at this path.
    #[error("could not {action} {}", path.display())]
    Socket {
        /// What was tried.
        action: &'static str,
        /// Of the socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The other side is gone.
    #[error("the other side closed the link")]
    Closed,
    /// The other side does not take what it is sent.
    #[error("the other side does not read")]
    Stuck,
    /// Another fault of the connection.
    #[error("the link failed")]
    Io(#[source] io::Error),
    /// The other side speaks another language.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// One packet that came in.
#[derive(Debug)]
pub struct Packet<T> {
    pub message: T,
    /// Descriptors that came with it, at most four.
    pub descriptors: Vec<OwnedFd>,
}

/// Most descriptors of one packet; more are closed by the kernel.
const MAX_DESCRIPTORS: usize = 4;

/// Waits for the forwarder.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
}

/// A connection between agent and forwarder. Nothing blocks: wait for its descriptor.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl Listener {
    /// Listens at `path`, in place of a socket that an earlier agent left there.
    ///
    /// # Errors
    ///
    /// [`LinkError::Socket`].
    pub fn bind(path: &Path) -> Result<Self, LinkError> {
        let fail = |action| {
            let path = path.to_owned();
            move |source: io::Error| LinkError::Socket { action, path, source }
        };
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path).map_err(fail("replace"))?;
        }
        let socket = new_socket().map_err(fail("make"))?;
        let address = SocketAddrUnix::new(path).map_err(|errno| fail("name")(errno.into()))?;
        bind(&socket, &address).map_err(|errno| fail("bind")(errno.into()))?;
        // Who may reach the folder may connect; the user of the peer is checked then.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(fail("open up"))?;
        listen(&socket, 1).map_err(|errno| fail("listen on")(errno.into()))?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// The next connection, if one waits, and the user of its other end.
    ///
    /// # Errors
    ///
    /// [`LinkError::Io`].
    pub fn accept(&self) -> Result<Option<(Connection, u32)>, LinkError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match accept_with(&self.socket, flags) {
            Ok(socket) => {
                let peer = sockopt::socket_peercred(&socket).map_err(io)?;
                Ok(Some((Connection(socket), peer.uid.as_raw())))
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(io(errno)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Left behind it would only be replaced.
        fs::remove_file(&self.path).ok();
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection {
    /// Connects to the agent that listens at `path`.
    ///
    /// # Errors
    ///
    /// [`LinkError::Socket`] when nobody listens there.
    pub fn open(path: &Path) -> Result<Self, LinkError> {
        let fail = |source: io::Error| LinkError::Socket {
            action: "connect to",
            path: path.to_owned(),
            source,
        };
        let socket = new_socket().map_err(fail)?;
        let address = SocketAddrUnix::new(path).map_err(|errno| fail(errno.into()))?;
        connect(&socket, &address).map_err(|errno| fail(errno.into()))?;
        Ok(Self(socket))
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// [`LinkError::Stuck`] when the other side's buffer is full, else why it cannot be sent.
    ///
    /// # Panics
    ///
    /// With more than four descriptors.
    pub fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), LinkError> {
        let bytes = encode(message)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            let fits = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
            assert!(fits, "at most {MAX_DESCRIPTORS} descriptors travel together");
        }
        let slices = [IoSlice::new(&bytes)];
        match sendmsg(&self.0, &slices, &mut ancillary, SendFlags::NOSIGNAL) {
            // A packet is sent whole.
            Ok(_) => Ok(()),
            Err(Errno::AGAIN) => Err(LinkError::Stuck),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(LinkError::Closed),
            Err(errno) => Err(io(errno)),
        }
    }

    /// Ends the connection for both sides; every later call says [`LinkError::Closed`].
    pub fn close(&self) {
        // It fails only when there is no other side any more.
        shutdown(&self.0, Shutdown::Both).ok();
    }

    /// The next message, if one waits.
    ///
    /// # Errors
    ///
    /// [`LinkError`]; the connection is of no use then.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<Packet<T>>, LinkError> {
        let mut bytes = vec![0; MAX_MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(&self.0, &mut slices, &mut ancillary, flags) {
            Ok(received) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(Errno::CONNRESET) => return Err(LinkError::Closed),
            Err(errno) => return Err(io(errno)),
        };
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(MessageError::TooLong { bytes: MAX_MESSAGE_BYTES + 1 }.into());
        }
        let descriptors = ancillary
            .drain()
            .filter_map(|part| match part {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        bytes.truncate(received.bytes);
        Ok(Some(Packet { message: decode(&bytes)?, descriptors }))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn io(errno: Errno) -> LinkError {
    LinkError::Io(errno.into())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Seek as _, Write as _},
    };

    use super::*;
    use crate::message::{FromForwarder, Targets};

    fn pair() -> (tempfile::TempDir, Listener, Connection, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let listener = Listener::bind(&path).unwrap();
        assert!(listener.accept().unwrap().is_none());
        let forwarder = Connection::open(&path).unwrap();
        let (agent, user) = listener.accept().unwrap().unwrap();
        assert_eq!(user, rustix::process::getuid().as_raw());
        (folder, listener, agent, forwarder)
    }

    fn targets(pod: &str) -> FromForwarder {
        FromForwarder::Targets(Targets {
            revision: 1,
            pods: [pod.to_owned()].into(),
            ..Targets::default()
        })
    }

    #[test]
    fn messages_keep_their_order_and_bounds() {
        let (_folder, _listener, agent, forwarder) = pair();
        assert!(agent.receive::<FromForwarder>().unwrap().is_none());
        forwarder.send(&targets("a"), &[]).unwrap();
        forwarder.send(&targets("b"), &[]).unwrap();
        assert_eq!(agent.receive::<FromForwarder>().unwrap().unwrap().message, targets("a"));
        assert_eq!(agent.receive::<FromForwarder>().unwrap().unwrap().message, targets("b"));
        drop(forwarder);
        assert!(matches!(agent.receive::<FromForwarder>(), Err(LinkError::Closed)));
    }

    #[test]
    fn a_descriptor_goes_over_and_works_there() {
        let (folder, _listener, agent, forwarder) = pair();
        let path = folder.path().join("handed-over");
        let mut file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        file.write_all(b"ring").unwrap();
        agent.send(&targets("x"), &[file.as_fd()]).unwrap();
        drop(agent);
        let packet = forwarder.receive::<FromForwarder>().unwrap().unwrap();
        let [descriptor] = <[OwnedFd; 1]>::try_from(packet.descriptors).unwrap();
        let mut received = File::from(descriptor);
        received.rewind().unwrap();
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ring");
    }

    #[test]
    fn a_reader_that_does_not_read_is_noticed_instead_of_waited_for() {
        let (_folder, _listener, agent, _forwarder) = pair();
        let stuck = (0..100_000).find_map(|_| agent.send(&targets("pod"), &[]).err());
        assert!(matches!(stuck, Some(LinkError::Stuck)), "{stuck:?}");
    }

    #[test]
    fn a_socket_left_behind_is_replaced_but_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let first = Listener::bind(&path).unwrap();
        let _second = Listener::bind(&path).unwrap();
        std::mem::forget(first);
        Connection::open(&path).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(Listener::bind(&file).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
