def checks(scenario): return []
