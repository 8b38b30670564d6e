//! Threads that nobody waits for.
//!
//! To drop the handle of a thread is to detach it, and glibc (bug 19951) reads the descriptor of a thread once more after it has
//! detached it. One that ends in that moment takes its descriptor along, and the process dies of it. So a thread does not begin
//! its work, and thereby cannot end, before it is detached.

use std::io;
use std::sync::mpsc;
use std::thread::Builder;

/// Starts a thread of this name.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    start(name, work, || {})
}

/// The same, with something done when the thread is detached and before it begins.
fn start(name: &str, work: impl FnOnce() + Send + 'static, between: impl FnOnce()) -> io::Result<()> {
    let (open, gate) = mpsc::channel::<()>();
    let begin = move || {
        // It is opened by going away.
        let _opened = gate.recv();
        work();
    };
    let thread = Builder::new().name(name.to_owned()).spawn(begin)?;
    drop(thread);
    between();
    drop(open);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Looking after a path that answers at once ended a whole process with SIGSEGV in `pthread_detach`.
    #[test]
    fn a_thread_begins_when_it_is_detached_and_not_before() {
        let (tell, told) = mpsc::channel();
        let tell_detached = tell.clone();
        let work = move || tell.send("begun").unwrap();
        let between = move || {
            std::thread::sleep(Duration::from_millis(50));
            tell_detached.send("detached").unwrap();
        };
        start("at-once", work, between).unwrap();
        assert_eq!(told.iter().collect::<Vec<_>>(), ["detached", "begun"]);
    }
}
