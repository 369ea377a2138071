"""Indexes for the lists: each filter and each sortable column in the order that it is read."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_experiments_name", "experiments", ["name", "id"])
    op.create_index("ix_results_seconds", "results", ["seconds", "trial_id"])
    op.create_index("ix_trials_code_name", "trials", ["code_name", "id"])
    op.create_index("ix_trials_data_name", "trials", ["data_name", "id"])
    op.create_index("ix_trials_experiment_state", "trials", ["experiment_id", "state"])
    op.create_index("ix_trials_finished_at", "trials", ["finished_at", "id"])
    op.create_index("ix_trials_owner_id", "trials", ["owner_id", "id"])
    op.create_index("ix_trials_state", "trials", ["state", "id"])


def downgrade() -> None:
    op.drop_index("ix_trials_state", "trials")
    op.drop_index("ix_trials_owner_id", "trials")
    op.drop_index("ix_trials_finished_at", "trials")
    op.drop_index("ix_trials_experiment_state", "trials")
    op.drop_index("ix_trials_data_name", "trials")
    op.drop_index("ix_trials_code_name", "trials")
    op.drop_index("ix_results_seconds", "results")
    op.drop_index("ix_experiments_name", "experiments")
