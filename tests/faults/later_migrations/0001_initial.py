from importlib import import_module

Migration = import_module("tests.lab.migrations.0001_initial").Migration
