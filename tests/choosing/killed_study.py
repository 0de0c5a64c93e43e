"""Runs a search whose process is killed in the midst of writing to the journal, again and again; see test_searching.py.

usage: killed_study.py FOLDER MOMENT…   (a moment: after so many writes of a process; the next dies in its half)
"""

import os
import signal
import sys
from pathlib import Path

from optuna.storages.journal import JournalFileBackend
from pretended import search_in


def dying_after(writes):
    whole, done = JournalFileBackend.append_logs, 0

    def append(self, logs):
        nonlocal done
        if done == writes:
            with Path(self._file_path).open("ab") as file:
                file.write(b'{"op_code":5,"worker_id":"hal')
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        whole(self, logs)

    JournalFileBackend.append_logs = append


folder, *moments = sys.argv[1:]
for moment in [*moments, None]:
    child = os.fork()
    if child == 0:
        if moment is not None:
            dying_after(int(moment))
        search_in(Path(folder)).go()
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(ended) if moment is not None else ended == 0, (moment, ended)
