"""IBM Quantum in a thread: the REST interface that Qiskit Runtime's own client talks to, with faults on demand.

Jobs are decoded, run and encoded by the vendor's schemas; the machine is the snapshot of Manila under the name ``ibm_manila``.
"""

from __future__ import annotations

import base64
import json
import re
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR
from threading import Thread
from urllib.parse import parse_qs, urlparse

from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import QuantumProgramResultModel
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2 as AerSampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.fake_provider.executor.run_quantum_program import run_quantum_program
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program.converters.converters_2_0 import passthrough_data_to_2_0
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123:4567::"
TOKEN = "planted+token/9f3c-never-to-be-seen"  # with characters that an address would quote


class Cloud:
    """What the service holds, and what it does wrong.

    jobs       by id: the request with ``state`` and ``id``
    sessions   by id
    faults     ``(method, pattern of the path, what)``, each used once: a status, ``(status, text)``, ``drop``: the connection
               closes without an answer, ``take``: as that, but the request was served; ``(take, status, text)``: that is said
               of a request that was served
    status     of new jobs
    lag        so many questions for a tag go by before its job is listed
    """

    def __init__(self):
        self.jobs, self.sessions, self.faults, self.seen, self.status = {}, {}, [], [], "Completed"
        self.lag = 0
        files = Path(FakeManilaV2().dirname)
        self.files = {name: json.loads((files / f"{short}_manila.json").read_text().replace("ibmq_manila", "ibm_manila"))
                      for name, short in (("configuration", "conf"), ("properties", "props"))}
        self.files["configuration"] |= {"backend_name": "ibm_manila", "simulator": False}
        self.files["status"] = {"state": True, "status": "active", "length_queue": 3}

    def fail(self, method, pattern, what, times=1):
        self.faults += [(method, pattern, what)] * times

    def fault(self, method, path):
        for i, (m, pattern, what) in enumerate(self.faults):
            if m == method and re.fullmatch(pattern, path):
                del self.faults[i]
                return what
        return None

    def answer(self, method, path, query, body):
        """Status and JSON, or text."""
        parts = path.strip("/").split("/")
        if path == "/identity/token":
            return 200, {"access_token": token(), "expires_in": 3600, "expiration": time.time() + 3600, "token_type": "Bearer"}
        if path == "/instances/usage":
            return 200, {"usage_consumed_seconds": 1}
        if parts[0] == "backends":
            device = {"name": "ibm_manila", "status": {"name": "online"}, "queue_length": 3, "qubits": 5}
            return 200, {"devices": [device]} if len(parts) == 1 else self.files[parts[2]]
        if parts[0] == "sessions":
            return self._session(method, parts, body)
        if parts == ["jobs"] and method == "POST":
            session = self.sessions.get(body.get("session_id"), {"accepting_jobs": True})
            if not session["accepting_jobs"]:
                return 409, {"errors": [{"code": 1217, "message": "Session has been closed."}]}
            job = body | {"id": f"job{len(self.jobs)}", "state": {"status": self.status}}
            self.jobs[job["id"]] = job
            return 200, {"id": job["id"], "backend": body["backend"]}
        if parts == ["jobs"]:
            self.lag -= 1
            wanted = set(query.get("tags", []))
            found = [self._shown(j) for j in self.jobs.values() if wanted <= set(j.get("tags", [])) and self.lag < 0]
            return 200, {"jobs": found, "count": len(found)}
        job = self.jobs.get(parts[1]) if parts[0] == "jobs" else None
        if job is None:
            return 404, {"errors": [{"code": 1291, "message": "Job not found."}]}
        if parts[2:] == ["cancel"]:
            if job["state"]["status"] not in ("Queued", "Running"):
                return 409, {"errors": [{"code": 1225, "message": "Job is not in a cancellable state."}]}
            job["state"] = {"status": "Cancelled", "reason": "Cancelled by user"}
            return 204, ""
        if parts[2:] == ["metrics"]:
            return 200, {"usage": {"qpu_charge_time_seconds": 2.5, "status": "complete"}}
        if parts[2:] == ["results"]:
            return 200, results(job) if job["state"]["status"] == "Completed" else "Traceback: it broke"
        return 200, self._shown(job)

    def _session(self, method, parts, body):
        if method == "POST":
            name = f"session{len(self.sessions)}"
            self.sessions[name] = {"id": name, "backend_name": body["backend"], "mode": body["mode"], "state": "open",
                                   "accepting_jobs": True, "max_ttl": body.get("max_ttl")}
        elif parts[1] not in self.sessions:
            return 404, {"errors": [{"code": 1290, "message": "Session not found."}]}
        else:
            name = parts[1]
            if method == "PATCH":
                self.sessions[name] |= body | {"state": "closed"}
        return 200, self.sessions[name]

    @staticmethod
    def _shown(job):
        shown = {k: job.get(k) for k in ("id", "backend", "state", "tags", "session_id")}
        return shown | {"program": {"id": job["program_id"]}}


def results(job):
    """The counts of a job as the service would send them; without noise, so that they can be told."""
    if job["program_id"] == "sampler":  # SamplerV2, of versions before 0.50
        pubs = json.loads(json.dumps(job["params"]), cls=RuntimeDecoder)["pubs"]
        return json.dumps(AerSampler(seed=1).run([tuple(pub) for pub in pubs]).result(), cls=RuntimeEncoder)
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"]
    program, _ = converter.decoder(converter.model.model_validate(job["params"]))
    for item in program.items:
        if hasattr(item, "samplex"):  # twirled: the service draws the Paulis
            item.samplex.finalize()
    done = run_quantum_program(AerSimulator(), program, SimulatorOptions(seed_simulator=1))
    data = [{"results": {k: CompressedTensorModel.from_numpy(v) for k, v in item.items()}, "metadata": {}} for item in done]
    return QuantumProgramResultModel(data=data, metadata={"chunk_timing": []}, semantic_role=program._semantic_role,
                                     passthrough_data=passthrough_data_to_2_0(program.passthrough_data)).model_dump_json()


def token():
    """A token that is valid for an hour, and signed by nobody."""
    now = int(time.time())
    parts = [{"alg": "RS256", "typ": "JWT"}, {"iat": now, "exp": now + 3600}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + ".c2ln"


@contextmanager
def running():
    """``Cloud``, its address, and a thread that answers for it."""
    cloud = Cloud()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def hang_up(self):
            self.close_connection = True
            self.connection.shutdown(SHUT_RDWR)

        def serve(self):
            where = urlparse(self.path)
            path = where.path.removeprefix("/experimental")
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw.startswith(b"{") else {}
            cloud.seen.append((self.command, path))
            what = cloud.fault(self.command, path)
            if what == "drop":
                return self.hang_up()
            served = what in (None, "take") or (isinstance(what, tuple) and what[0] == "take")
            answer = cloud.answer(self.command, path, parse_qs(where.query), body) if served else None
            status, found = (what, {}) if isinstance(what, int) else what[-2:] if isinstance(what, tuple) else answer or (0, "")
            if what == "take":
                return self.hang_up()
            text = (found if isinstance(found, str) else json.dumps(found)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve

        def handle(self):
            try:
                super().handle()
            except (ValueError, OSError):  # the connection that was dropped
                pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield cloud, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
