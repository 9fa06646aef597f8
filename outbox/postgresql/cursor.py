"""Cursors that send BEGIN along with the first statement of a transaction.

psycopg sends BEGIN on its own and waits for the answer. For a worker that was just woken, and whose processor sleeps
between two messages, that trip takes a tenth of a millisecond or two: as long as the claim itself.
"""

from typing import Any

import psycopg
from psycopg import adapt, errors, generators
from psycopg._preparing import Prepare
from psycopg.abc import Params, PQGen, Query
from psycopg.pq import ExecStatus, TransactionStatus


class BeginsOnTheWay(psycopg.Cursor[Any]):
    """Where the first statement of a transaction is a prepared one, BEGIN and the statement are one message."""

    def _execute_gen(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> PQGen[None]:
        if self._transaction_begins():
            self._reset()
            self._tx = adapt.Transformer(self)
            converted = self._convert_query(query, params)
            known, name = self._get_prepared(converted, prepare)
            if known is Prepare.YES:
                yield from self._begin_and_execute_gen(converted, name, binary)
                self._last_query = query
                yield from self._conn._prepared.maintain_gen(self._conn)
                return
        yield from super()._execute_gen(query, params, prepare=prepare, binary=binary)

    def _transaction_begins(self) -> bool:
        own = self._conn
        return (
            own.prepare_threshold is not None
            and not self.closed
            and own.pgconn.transaction_status == TransactionStatus.IDLE
            and not own.autocommit
            and own._pipeline is None
        )

    def _begin_and_execute_gen(self, converted: Any, name: bytes, binary: bool | None) -> PQGen[None]:
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        try:
            pgconn.send_query_params(self._conn._get_tx_start_command(), None)
            self._send_query_prepared(name, converted, binary=binary)
            pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            begun = yield from generators.fetch_many(pgconn)
            answers = yield from generators.fetch_many(pgconn)
            yield from generators.fetch_many(pgconn)  # what says that the pipeline is at its end
            pgconn.exit_pipeline_mode()
        except BaseException:
            self._conn.close()  # nobody knows which answers are still to come
            raise
        if begun[0].status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(begun[0], encoding=self._encoding)
        self._conn._prepared.maybe_add_to_cache(converted, Prepare.YES, name)
        self._check_results(answers)
        self._set_results(answers)
