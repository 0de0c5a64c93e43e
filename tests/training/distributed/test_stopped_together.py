import pytest


@pytest.mark.slow
def test_what_stops_one_process_stops_all_with_one_cause_that_names_it(said):
    for rank in range(2):
        code, out, err = said("stopped", rank)
        assert code == "0", err
        versions, folder, number, mistake, data = out.splitlines()
        assert "rank 1 on" in versions
        assert "has convlens 0.1 and rank 0" in versions
        assert "rank 1 on" in folder
        assert "does not see here/" in folder
        assert "on rank 1 the loss became nan in epoch 1, step 1" in number
        assert "rank 1 on" in data
        assert "photos" in data
        assert all(line.startswith("2 ") for line in (versions, folder, number, data))
        if rank == 0:
            assert mistake.startswith("1 rank 1 on ")
            assert mistake.endswith(": ValueError: a mistake of ours")
        else:
            assert mistake == "raised a mistake of ours"  # with its traceback


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_other_which_names_it(said):
    assert said("killed", 1)[0] == "-9"
    code, out, err = said("killed", 0)
    assert code == "0", err
    assert out.startswith("2 rank 1 on ")
    assert "ended without a word: killed, out of memory, or its machine lost" in out
