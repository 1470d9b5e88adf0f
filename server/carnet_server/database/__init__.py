"""The metadata database: engines, column types and paging; who may write is ``carnet_server.log.writer``."""
