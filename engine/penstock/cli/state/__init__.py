"""`penstock state`: looks into checkpoints and savepoints, and makes new savepoints of them, with no job running."""
