"""The role Tandem itself connects as: it owns one database and has no superuser's rights."""

import psycopg
from psycopg import sql

from config.runtime.cluster import APPLICATION, Cluster


def see_to_application_role(superuser_url: str, cluster: Cluster, *, may_create_databases: bool) -> None:
    """Make the role and its database unless they exist, and set the role's rights and password."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION]).fetchone()
        statement = sql.SQL("{verb} ROLE {role} LOGIN NOSUPERUSER {rights} PASSWORD {password}").format(
            verb=sql.SQL("ALTER" if known else "CREATE"),
            role=sql.Identifier(APPLICATION),
            rights=sql.SQL("CREATEDB" if may_create_databases else "NOCREATEDB"),
            password=sql.Literal(cluster.password(APPLICATION)),
        )
        connection.execute(statement)
    see_to_application_database(superuser_url, APPLICATION)


def see_to_application_database(superuser_url: str, name: str) -> None:
    """Make the database `name`, owned by the application's role, unless it exists."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            create = sql.SQL("CREATE DATABASE {name} OWNER {owner}")
            connection.execute(create.format(name=sql.Identifier(name), owner=sql.Identifier(APPLICATION)))
