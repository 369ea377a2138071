"""The checks of `labpool doctor`, a small module for each thing that is looked at."""

from __future__ import annotations

from labpool.diagnosis import Finding, note


def service_checks(url: str | None = None) -> list[Finding]:
    """Every check that needs the server's dependencies."""
    from deploy.diagnosis import catalogs, databases, devices, machine, parts, settings, workers
    from labpool.client.diagnosis import check_service

    loaded, findings = settings.check_settings()
    if loaded is None:
        return findings
    findings += settings.check_names()
    findings.append(machine.check_data_folder(loaded.data_dir))
    findings.append(catalogs.check_catalog(loaded))
    database, found = databases.check_database(loaded)
    findings.append(found)
    running = parts.running_service(loaded)
    findings.append(parts.check_broker(loaded, running))
    findings.append(parts.check_port(loaded, running))
    if running is None and parts.ran_here(loaded, url):
        findings.append(note("service", "It does not run on this data folder now.", "labpool up"))
    else:
        findings += check_service(url)
    findings.append(devices.check_tensorflow())
    findings += devices.check_gpus(locks=loaded.gpu_lock_dir, slots_per_gpu=loaded.slots_per_gpu)
    if database is not None:
        try:
            findings += workers.check_workers(database, is_up=running is not None)
            findings.append(workers.check_store(database, loaded))
            findings += workers.check_queue(database)
        finally:
            database.dispose()
    return findings
