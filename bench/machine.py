"""CPU time, memory and placement of processes, and what kind of machine this is."""

import contextlib
import os
import platform
import re
import signal
import subprocess
import time


def cpu_ns(pid):
    """CPU time of all live threads of a process, in nanoseconds."""
    return sum(cpu_by_thread(pid).values())


def cpu_by_thread(pid):
    """CPU nanoseconds by thread name."""
    out = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                used = int(stat.read().split()[0])
            with open(f"/proc/{pid}/task/{task}/comm") as comm:
                name = re.sub(r"[-_ ]?\d+$", "", comm.read().strip())
        except (FileNotFoundError, ProcessLookupError):
            continue
        out[name] = out.get(name, 0) + used
    return out


def bpf_ns(pid):
    """Time that the eBPF programs of a process ran so far, as the kernel counts it."""
    programs = {}
    for number in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{number}") as info:
                fields = dict(line.split(":", 1) for line in info if ":" in line)
        except FileNotFoundError:
            continue
        if "run_time_ns" in fields:
            programs[fields["prog_id"].strip()] = int(fields["run_time_ns"])
    return sum(programs.values())


@contextlib.contextmanager
def bpf_statistics():
    """Lets the kernel time every eBPF program, which costs each run some 30 ns."""
    path = "/proc/sys/kernel/bpf_stats_enabled"
    with open(path) as setting:
        before = setting.read()
    try:
        with open(path, "w") as setting:
            setting.write("1")
        yield
    finally:
        with open(path, "w") as setting:
            setting.write(before)


def memory_kib(pid):
    """Resident memory: all of it, and the part that is neither file nor shared."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return {
        key: int(fields[field].split()[0])
        for key, field in (("rss", "VmRSS"), ("anonymous", "RssAnon"), ("shared", "RssShmem"))
    }


def place(pid, cpu):
    """Pins a process with its threads to one CPU and puts it ahead of what else runs."""
    subprocess.run(["taskset", "-a", "-pc", str(cpu), str(pid)], stdout=subprocess.DEVNULL, check=True)
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            os.setpriority(os.PRIO_PROCESS, int(task), -15)
        except (PermissionError, ProcessLookupError):
            pass


def placed(cpu, *words):
    """The command that runs `words` on one CPU, ahead of what else runs."""
    return ["taskset", "-c", str(cpu), "nice", "-n", "-15", *[str(word) for word in words]]


def wait_until(what, probe, seconds=60):
    """Calls `probe` until it gives something true; gives that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := probe():
            return value
        time.sleep(0.05)
    raise RuntimeError(f"waited {seconds} s in vain for {what}")


def wait_until_idle(pid):
    """Waits until a process hardly uses its CPU, so that what it still had to do is counted."""

    def idle():
        before = cpu_ns(pid)
        time.sleep(0.5)
        return cpu_ns(pid) - before < 5_000_000

    wait_until("an idle process", idle)


class Process:
    """A child with its output in a file; ends with the `with` block."""

    def __init__(self, name, folder, words, env=None):
        self.name, self.path = name, os.path.join(folder, f"{name}.log")
        with open(self.path, "wb") as log:
            self.child = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                process_group=0,
            )
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def output(self):
        with open(self.path, errors="replace") as log:
            return log.read()

    def wait_for(self, text, seconds=60):
        def probe():
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.name} ended early:\n{self.output()[-3000:]}")
            return text in self.output()

        wait_until(f"{text!r} from {self.name}", probe, seconds)

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


def kind():
    """The kind of machine, without its name."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    release = re.match(r"\d+\.\d+", platform.release()).group()
    virtual = subprocess.run(["systemd-detect-virt"], capture_output=True, text=True).stdout.strip() \
        if os.path.exists("/usr/bin/systemd-detect-virt") else ""
    where = "virtual machine" if virtual not in ("", "none") or is_guest() else "machine"
    return (f"{where}, {os.cpu_count()} CPUs ({model}), {round(pages / 2**30)} GiB, "
            f"Linux {release} {platform.machine()}")


def is_guest():
    with open("/proc/cpuinfo") as info:
        return " hypervisor" in info.read()
