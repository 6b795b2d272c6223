"""Offers slots, supervises workers, runs tasks."""
